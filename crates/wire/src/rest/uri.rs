//! URI templates: `/{Bucket}/{Key+}?tagging`.

/// One step of a template's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Text that must stand there.
    Literal(&'static str),
    /// Any one step that is not empty.
    Label(&'static str),
    /// All steps up to what follows in the template.
    Greedy(&'static str),
}

/// The path of a template, and the parameters its query string must have.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    /// Names with their values; an empty value asks for the name only.
    pub(crate) literals: Vec<(&'static str, &'static str)>,
}

impl Template {
    pub(crate) fn parse(uri: &'static str) -> Template {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Template {
            segments: segments(path).collect(),
            literals: query
                .split('&')
                .filter(|literal| !literal.is_empty())
                .map(|literal| literal.split_once('=').unwrap_or((literal, "")))
                .collect(),
        }
    }
}

/// The steps of a template's path. A slash at the end makes no step.
pub(crate) fn segments(path: &'static str) -> impl Iterator<Item = Segment> {
    trimmed(path)
        .split('/')
        .filter(|step| !step.is_empty())
        .map(
            |step| match step.strip_prefix('{').and_then(|step| step.strip_suffix('}')) {
                Some(label) => label
                    .strip_suffix('+')
                    .map_or(Segment::Label(label), Segment::Greedy),
                None => Segment::Literal(step),
            },
        )
}

/// The steps of a request's path, still encoded. Empty steps count, but for
/// those a slash at either end would make.
pub(crate) fn steps(path: &str) -> Vec<&str> {
    let path = trimmed(path);
    if path.is_empty() {
        Vec::new()
    } else {
        path.split('/').collect()
    }
}

fn trimmed(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

/// Shows every label of a template with its text in the path, still encoded.
/// The path is one that the router matched with the template.
pub(crate) fn labels<'p>(uri: &'static str, path: &'p str, mut show: impl FnMut(&'static str, &'p str)) {
    let template: Vec<Segment> = segments(uri.split('?').next().unwrap_or(uri)).collect();
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    for (at, segment) in template.iter().enumerate() {
        match *segment {
            Segment::Greedy(label) => {
                // What follows in the template is taken from the end. A slash at the end belongs to
                // the label if nothing follows: `photos/` is a key of S3.
                let behind = template.len() - at - 1;
                let mut end = rest.len();
                for _ in 0..behind {
                    end = rest[..end].trim_end_matches('/').rfind('/').unwrap_or(0);
                }
                show(label, &rest[..end]);
                rest = rest[end..].strip_prefix('/').unwrap_or("");
            }
            Segment::Label(label) => {
                let (step, behind) = rest.split_once('/').unwrap_or((rest, ""));
                show(label, step);
                rest = behind;
            }
            Segment::Literal(_) => rest = rest.split_once('/').map_or("", |(_, behind)| behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(uri: &'static str, path: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        labels(uri, path, |label, text| found.push((label, text)));
        found
    }

    #[test]
    fn labels_take_their_steps() {
        assert_eq!(
            labelled("/detector/{detectorId}/findings", "/detector/abc/findings"),
            [("detectorId", "abc")]
        );
        assert_eq!(
            labelled("/{Bucket}/{Key+}?tagging", "/b/a//c/"),
            [("Bucket", "b"), ("Key", "a//c/")]
        );
        assert_eq!(labelled("/x/{Name+}/y", "/x/a/b/y"), [("Name", "a/b")]);
        assert_eq!(labelled("/{Bucket}", "/b/"), [("Bucket", "b")]);
        assert_eq!(labelled("/{Bucket}/{Key+}", "/"), [("Bucket", ""), ("Key", "")]);
    }

    #[test]
    fn templates_are_read() {
        let template = Template::parse("/{Bucket}?list-type=2&x");
        assert_eq!(template.segments, [Segment::Label("Bucket")]);
        assert_eq!(template.literals, [("list-type", "2"), ("x", "")]);
        assert!(Template::parse("/").segments.is_empty());
    }
}
