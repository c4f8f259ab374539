"""The other side of the codec trial: botocore writes requests and reads answers.

    trial.py generate SEED SERVICE...   prints, a line of JSON each: random valid
        requests as botocore sends them with the parameters they say ("request"),
        and random outputs ("answer")
    trial.py check SERVICE...           reads answers and errors as our encoder
        wrote them, parses each with botocore and compares with what they should
        say; prints every difference and the number compared

A service named with "+cbor" behind it is spoken to in rpcv2Cbor, whatever its
model says.

Values travel in one canonical form: blobs as base64, timestamps as whole
milliseconds, everything else as JSON has it.
"""

import base64
import copy
import datetime
import json
import random
import re
import sys

try:
    from re import _constants as sre
    from re import _parser as sre_parse
except ImportError:  # before Python 3.11
    import sre_constants as sre
    import sre_parse

from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

# Inputs and outputs per operation; the trial's own five get more.
ROUNDS = 12
ROUNDS_OF_TRIAL = 300
TRIAL = {
    ("kms", "Encrypt"),
    ("iam", "CreateUser"),
    ("s3", "PutObject"),
    ("guardduty", "ListFindings"),
    ("ec2", "DescribeVolumes"),
}
DEPTH_MAX = 5
# Protocols in which an empty structure or map leaves no trace.
LOSES_EMPTY = ("query", "ec2")

LETTERS = "abcXYZ019"
TEXT = LETTERS + " -_./:+=@&<>\"'%?#[]{}\\,;\t\néß€語😀"
HEADER_TEXT = LETTERS + " -_./:+=@&<>\"'%?#[]{}\\,;"


def models(names):
    # Without the client's own amendments: the generator of our types does not read them either.
    loader = Loader(include_default_extras=False)
    known = {}
    for spoken in names:
        name, _, tongue = spoken.partition("+")
        description = copy.deepcopy(loader.load_service_model(name, "service-2"))
        if tongue == "cbor":
            description["metadata"]["protocol"] = "smithy-rpc-v2-cbor"
        known[spoken] = ServiceModel(description, name)
    return known


# Patterns -----------------------------------------------------------------


def python_pattern(pattern):
    """Java's classes as Python's `re` knows them."""
    for java, python in (
        (r"\p{L}", "a-zA-Zéß"),
        (r"\p{M}", "\u0301"),
        (r"\p{Z}", " "),
        (r"\p{Zs}", " "),
        (r"\p{N}", "0-9"),
        (r"\p{S}", "+="),
        (r"\p{P}", "_."),
        (r"\p{LD}", "a-z"),
        (r"\p{ASCII}", " -~"),
        (r"\p{IsAlphabetic}", "a-z"),
        (r"\p{Graph}", "!-~"),
        (r"\p{Print}", " -~"),
        (r"[[:print:]]", "[ -~]"),
    ):
        pattern = pattern.replace(java, python)
    pattern = re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda m: "\\U%08x" % int(m[1], 16), pattern)
    # Surrogate pairs, as Java writes what lies beyond 16 bits.
    pattern = re.sub(r"\\uD800\\uDC00-\\uDBFF\\uDFFF", "\U00010000-\U0001ffff", pattern, flags=re.I)
    return pattern


def from_pattern(rng, pattern):
    return "".join(from_tokens(rng, sre_parse.parse(python_pattern(pattern), re.ASCII)))


def from_tokens(rng, tokens):
    return [from_token(rng, *token) for token in tokens]


def from_token(rng, kind, value):
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.ANY:
        return rng.choice(LETTERS)
    if kind is sre.NOT_LITERAL:
        return next(c for c in LETTERS if ord(c) != value)
    if kind is sre.IN:
        return from_class(rng, value)
    if kind is sre.BRANCH:
        return "".join(from_tokens(rng, rng.choice(value[1])))
    if kind is sre.SUBPATTERN:
        return "".join(from_tokens(rng, value[-1]))
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT) or str(kind) == "POSSESSIVE_REPEAT":
        least, most, inner = value
        times = rng.randint(least, min(most, least + rng.choice((0, 1, 3, 12))))
        return "".join("".join(from_tokens(rng, inner)) for _ in range(times))
    # Anchors and look-around take no letters; the whole text is checked afterwards.
    return ""


def from_class(rng, items):
    negated = items and items[0][0] is sre.NEGATE
    if negated:
        outside = [c for c in TEXT if not in_class(items[1:], c)]
        return rng.choice(outside) if outside else "\u2603"
    kind, value = rng.choice(items)
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.RANGE:
        low, high = value
        # Mostly plain text, so that long strings stay readable.
        return chr(rng.randint(low, min(high, max(low, 0x7E))) if rng.random() < 0.9 else rng.randint(low, high))
    if kind is sre.CATEGORY:
        if value is sre.CATEGORY_DIGIT:
            return rng.choice("0123456789")
        if value is sre.CATEGORY_SPACE:
            return rng.choice(" \t\n")
        if value is sre.CATEGORY_WORD:
            return rng.choice("abcXYZ019_")
        return rng.choice(".-/")
    raise ValueError(kind)


def in_class(items, letter):
    for kind, value in items:
        if kind is sre.LITERAL and ord(letter) == value:
            return True
        if kind is sre.RANGE and value[0] <= ord(letter) <= value[1]:
            return True
        if kind is sre.CATEGORY:
            if value is sre.CATEGORY_DIGIT and letter.isdigit():
                return True
            if value is sre.CATEGORY_SPACE and letter.isspace():
                return True
            if value is sre.CATEGORY_WORD and (letter.isalnum() or letter == "_"):
                return True
    return False


# Values -------------------------------------------------------------------


class Impossible(Exception):
    """No value was found for a shape; the operation says which."""


class Values:
    """Random values of a protocol's shapes that satisfy the model."""

    def __init__(self, rng, protocol, output):
        self.rng = rng
        self.protocol = protocol
        self.output = output

    def structure(self, shape, depth=0, keep=lambda name, member: True):
        rng = self.rng
        while True:
            chance = rng.choice((0.0, 0.2, 0.6, 1.0))
            value = {}
            names = list(shape.members)
            if getattr(shape, "is_tagged_union", False):
                names = [rng.choice(names)]
            for name in names:
                member = shape.members[name]
                needed = name in shape.required_members or getattr(shape, "is_tagged_union", False)
                if not keep(name, member):
                    continue
                if not needed and (depth >= DEPTH_MAX or rng.random() >= chance):
                    continue
                try:
                    value[name] = self.any(member, depth + 1)
                except Impossible:
                    if needed:
                        raise
            if value or depth == 0 or not shape.members or self.protocol not in LOSES_EMPTY:
                return value
            if depth >= DEPTH_MAX and not shape.required_members:
                raise Impossible(shape.name)

    def any(self, shape, depth):
        location = shape.serialization.get("location")
        kind = shape.type_name
        if kind == "structure":
            return self.structure(shape, depth)
        if kind == "list":
            return self.list(shape, depth, location)
        if kind == "map":
            return self.map(shape, depth, location)
        return self.scalar(shape, location)

    def list(self, shape, depth, location):
        if depth > DEPTH_MAX + 2:
            raise Impossible(shape.name)
        least = shape.metadata.get("min", 0)
        traceless = shape.serialization.get("flattened") or location or self.protocol == "ec2"
        if traceless:
            least = max(least, 1)
        size = self.rng.randint(least, min(shape.metadata.get("max", 99), least + self.rng.choice((0, 1, 2, 12))))
        return [
            self.scalar(shape.member, location) if location else self.any(shape.member, depth + 1)
            for _ in range(size)
        ]

    def map(self, shape, depth, location):
        if depth > DEPTH_MAX + 2:
            raise Impossible(shape.name)
        least = shape.metadata.get("min", 0)
        if shape.serialization.get("flattened") or location or self.protocol in LOSES_EMPTY:
            least = max(least, 1)
        size = self.rng.randint(least, min(shape.metadata.get("max", 99), least + self.rng.choice((0, 1, 4))))
        value = {}
        for _ in range(size):
            if location == "headers":
                key = "".join(self.rng.choice("abcxyz-019") for _ in range(self.rng.randint(1, 9)))
            else:
                key = self.scalar(shape.key, None)
            value[key] = self.any(shape.value, depth + 1) if not location else self.scalar(shape.value, "header")
        if len(value) < least:
            raise Impossible(shape.name)
        return value

    def scalar(self, shape, location):
        rng, kind = self.rng, shape.type_name
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if kind == "boolean":
            return rng.random() < 0.5
        if kind in ("integer", "long"):
            edge = 2**31 if kind == "integer" else 2**63
            low = -edge if low is None else int(low)
            high = edge - 1 if high is None else int(high)
            return rng.choice((low, high, rng.randint(max(low, -5), min(high, max(low, -5) + 99)) if low < high else low))
        if kind in ("float", "double"):
            low = -1000 if low is None else low
            high = 1000 if high is None else high
            return min(high, max(low, rng.randint(-8000, 8000) / 8))
        if kind == "timestamp":
            form = shape.serialization.get("timestampFormat")
            # botocore writes whole seconds into headers, whatever the format.
            whole = form == "rfc822" or location == "header"
            millis = rng.randint(0, 4102444800000)
            return Moment(millis - millis % 1000 if whole else millis)
        if kind == "blob":
            low = low or 0
            size = rng.randint(low, min(high or 64, low + 40)) if high is None or high >= low else low
            if shape.serialization.get("streaming") or self.rest_payload(shape):
                # botocore reads a body of bytes as text in answers to its parser.
                return bytes(rng.choice(b"abc \n<>&") for _ in range(size))
            return rng.randbytes(size)
        if kind in ("string", "character"):
            return self.string(shape, location, low or 0, high)
        raise Impossible(shape.name)

    def rest_payload(self, shape):
        return self.protocol.startswith("rest") and shape.serialization.get("location") is None

    def string(self, shape, location, low, high):
        rng = self.rng
        if shape.enum:
            return rng.choice(shape.enum)
        in_head = location in ("header", "headers")
        if location == "uri":
            low = max(low, 1)
        for _ in range(200):
            pattern = shape.metadata.get("pattern")
            if pattern:
                try:
                    text = from_pattern(rng, pattern)
                    # Loose patterns with long minima.
                    if len(text) < low and rng.random() < 0.8:
                        text += "".join(from_pattern(rng, pattern) for _ in range(low))[: low - len(text)]
                except (re.error, ValueError):
                    raise Impossible(f"{shape.name}: {pattern}")
            else:
                alphabet = HEADER_TEXT if in_head else TEXT
                size = rng.choice((low, low + 1, low + 7, low + 30))
                text = "".join(rng.choice(alphabet) for _ in range(size))
            if high is not None:
                text = text[:high]
            if in_head:
                text = text.encode("ascii", "replace").decode().replace("\n", " ").replace("\t", " ").strip()
                if location == "header" and shape.type_name == "string" and not text and self.output:
                    continue
            if len(text) < low:
                continue
            if any(ord(c) < 32 and c not in "\t\n" or c in "\ufffe\uffff" for c in text):
                continue
            if pattern and not matches(pattern, text):
                continue
            return text
        raise Impossible(f"{shape.name}: {shape.metadata}")


def matches(pattern, text):
    try:
        return re.fullmatch(python_pattern(pattern), text, re.ASCII) is not None
    except re.error:
        return False


class Moment:
    """A moment in whole milliseconds."""

    def __init__(self, millis):
        self.millis = millis

    def datetime(self):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return epoch + datetime.timedelta(milliseconds=self.millis)


def canonical(value):
    if isinstance(value, Moment):
        return value.millis
    if isinstance(value, datetime.datetime):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return round((value - epoch) / datetime.timedelta(milliseconds=1))
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return value


def for_botocore(value):
    if isinstance(value, Moment):
        return value.datetime()
    if isinstance(value, dict):
        return {key: for_botocore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [for_botocore(item) for item in value]
    return value


# Generating ---------------------------------------------------------------


def request(model, operation, params):
    serializer = create_serializer(model.metadata["protocol"], include_validation=True)
    serialized = serializer.serialize_to_request(for_botocore(params), operation)
    serialized.pop("host_prefix", None)
    prepare_request_dict(serialized, "http://localhost:4566", context={})
    prepared = create_request_object(serialized).prepare()
    path, _, query = prepared.url[len("http://localhost:4566") :].partition("?")
    body = prepared.body or b""
    if isinstance(body, str):
        body = body.encode()
    headers = []
    for name, value in prepared.headers.items():
        headers.append([name, value.decode("latin-1") if isinstance(value, bytes) else str(value)])
    return {
        "method": prepared.method,
        "path": path,
        "query": query,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
    }, len(body)


def generate(seed, services, wanted):
    for service, model in models(services).items():
        protocol = model.metadata["protocol"]
        impossible = set()
        for name in wanted.get(service) or model.operation_names:
            operation = model.operation_model(name)
            rounds = ROUNDS_OF_TRIAL if (service, name) in TRIAL else ROUNDS
            # Seeded by name, so that one operation's values do not hang on another's.
            rng = random.Random(f"{seed} {service} {name}")
            for _ in range(rounds):
                params, length = {}, None
                if operation.input_shape is not None:
                    # The length is the connection's to say.
                    keep = lambda member, shape: member != "ContentLength"
                    try:
                        params = Values(rng, protocol, False).structure(operation.input_shape, keep=keep)
                    except Impossible as shape:
                        impossible.add(f"{name} input: {shape}")
                        continue
                sent, length = request(model, operation, params)
                says = canonical(params)
                if operation.input_shape is not None and "ContentLength" in operation.input_shape.members:
                    says["ContentLength"] = length
                    # A body of no bytes is a stream of no bytes.
                    says.setdefault(operation.input_shape.serialization["payload"], "")
                show({"kind": "request", "service": service, "operation": name, "says": says, **sent})
            for _ in range(rounds):
                says = {}
                if operation.output_shape is not None:
                    keep = lambda member, shape: True
                    try:
                        says = Values(rng, protocol, True).structure(operation.output_shape, keep=keep)
                    except Impossible as shape:
                        impossible.add(f"{name} output: {shape}")
                        continue
                show({"kind": "answer", "service": service, "operation": name, "says": canonical(says)})
        for what in sorted(impossible):
            show({"kind": "impossible", "service": service, "operation": what, "says": {}})


def show(line):
    sys.stdout.write(json.dumps(line) + "\n")


# Checking -----------------------------------------------------------------


class Headers(dict):
    """Headers as botocore's parsers see them: names in any case."""

    def __init__(self, pairs):
        super().__init__((name.lower(), value) for name, value in pairs)

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


def check(services):
    known = models(services)
    compared, different = 0, 0
    for line in sys.stdin:
        line = json.loads(line)
        model = known[line["service"]]
        operation = model.operation_model(line["operation"])
        response = {
            "status_code": line["status"],
            "headers": Headers(line["headers"]),
            "body": base64.b64decode(line["body"]),
            "context": {"operation_name": line["operation"]},
        }
        parser = create_parser(model.metadata["protocol"])
        try:
            parsed = parser.parse(response, operation.output_shape)
        except Exception as error:
            different += 1
            print(f"{line['service']}:{line['operation']} cannot be parsed: {error!r} in {response}", file=sys.stderr)
            continue
        metadata = parsed.pop("ResponseMetadata", {})
        says = line["says"]
        if line["kind"] == "fault":
            parsed = {part: parsed["Error"].get(part) for part in says}
        else:
            parsed = comparable(parsed, operation.output_shape)
        parsed = canonical(parsed)
        compared += 1
        # botocore looks for the request's id only beside a body of CBOR.
        unseen = line["service"].endswith("+cbor") and not line["body"]
        told = metadata.get("RequestId") == line["request_id"] or unseen
        if parsed != says or not told:
            different += 1
            print(
                f"{line['service']}:{line['operation']} differs\n  says   {json.dumps(says, sort_keys=True)}\n"
                f"  parsed {json.dumps(parsed, sort_keys=True)}\n  in {response} {metadata}",
                file=sys.stderr,
            )
        if different > 5:
            break
    print(json.dumps({"compared": compared, "different": different}))


def comparable(parsed, shape):
    """What the parser adds of itself is taken away; streams become bytes."""
    if shape is None:
        return {}
    for name, member in shape.members.items():
        if member.type_name == "blob" and isinstance(parsed.get(name), str):
            parsed[name] = parsed[name].encode()
        if member.serialization.get("location") == "headers" and not parsed.get(name):
            parsed.pop(name, None)
    payload = shape.serialization.get("payload")
    if payload and parsed.get(payload) in (b"", "", {}):
        parsed.pop(payload)
    return parsed


def main():
    if sys.argv[1] == "generate":
        wanted = json.loads(sys.argv[3])
        generate(sys.argv[2], list(wanted), wanted)
    else:
        check(sys.argv[2:])


main()
