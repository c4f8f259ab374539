//! A service's table of operations: which handler answers which name.
//!
//! Reading a service's table tells what it does; an operation that is not in
//! it is refused from its schema alone and listed as missing in `COVERAGE.md`.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::TryFutureExt as _;
use futures_util::future::{BoxFuture, MapErr};
use ground::Arn;
use shape::{Operation, OperationShape, ServiceShape, Structure};
use wire::{Answer, RequestHead};

use crate::access::Access;
use crate::conditions::Conditions;
use crate::cx::Cx;
use crate::fault::Fault;
use crate::jobs::Job;
use crate::limits::HANDLER_BYTES_MAX;
use crate::record;
use crate::sealed::Sealed;
use crate::usage::Meter;

/// An `async fn(&Service, &Cx, Input) -> Result<Output, Error>`.
///
/// Implemented for every such function; nobody writes it by hand. The
/// lifetime says that the future borrows service and context.
pub trait Handler<'a, S, O: Operation>: Send + Sync {
    /// A call on its way.
    type Running: Future<Output = Result<O::Output, Fault>> + Send + 'a;

    /// Calls the function and turns its error into a [`Fault`].
    fn call(&self, service: &'a S, cx: &'a Cx, input: O::Input) -> Self::Running;
}

impl<'a, S, O, F, Run, E> Handler<'a, S, O> for F
where
    S: 'a,
    O: Operation,
    F: Fn(&'a S, &'a Cx, O::Input) -> Run + Send + Sync,
    Run: Future<Output = Result<O::Output, E>> + Send + 'a,
    E: 'a,
    for<'e> Fault: From<&'e E>,
{
    type Running = MapErr<Run, fn(E) -> Fault>;

    fn call(&self, service: &'a S, cx: &'a Cx, input: O::Input) -> Self::Running {
        self(service, cx, input).map_err(|error| Fault::from(&error))
    }
}

/// An input member that is not supported: operation, member, and why. A call
/// that uses it gets the service's own error.
pub type Refused = (&'static str, &'static str, &'static str);

/// What a service would ask permission for if this context's caller did the
/// action, given in its proper case, to the resource: with the resource's own
/// policy and the condition keys that follow from what it is. `None` of
/// resources that it cannot tell of; a fault if the call would end before
/// anyone was asked. It reads, and neither asks nor writes.
pub type Describe = for<'a> fn(cx: &'a Cx, action: &'a str, arn: &'a Arn) -> Describing<'a>;

/// A description on its way.
pub type Describing<'a> = BoxFuture<'a, Result<Option<Access<()>>, Fault>>;

/// The operations a service answers.
pub struct Table<S> {
    service: &'static ServiceShape,
    state: Arc<S>,
    rows: Vec<Row>,
    jobs: Vec<Job>,
    seals: Vec<Sealed>,
    describe: Option<Describe>,
    encodes_refusals: bool,
    admit: Option<Admit>,
    meter: Option<Meter>,
    conditions: Option<Conditions>,
    refused: &'static [Refused],
}

impl<S: Send + Sync + 'static> Table<S> {
    /// An empty table of `service`, whose handlers borrow `state`.
    pub fn new(service: &'static ServiceShape, state: S) -> Table<S> {
        Table {
            service,
            state: Arc::new(state),
            rows: Vec::new(),
            jobs: Vec::new(),
            seals: Vec::new(),
            describe: None,
            encodes_refusals: false,
            admit: None,
            meter: None,
            conditions: None,
            refused: &[],
        }
    }

    /// Adds the handler of one operation.
    ///
    /// # Panics
    ///
    /// If the operation belongs to another service, has a handler already, or
    /// takes more room than [`HANDLER_BYTES_MAX`]; all are seen at start-up by every test.
    #[must_use]
    pub fn on<O: Operation>(mut self, handler: impl for<'a> Handler<'a, S, O> + 'static) -> Table<S> {
        assert!(
            std::ptr::eq(O::SHAPE.service, self.service),
            "{} is of another service",
            O::SHAPE.name
        );
        assert!(
            self.rows.iter().all(|row| !std::ptr::eq(row.operation, O::SHAPE)),
            "{} has two handlers",
            O::SHAPE.name
        );
        assert!(
            size_of_running::<S, O, _>(&handler) <= HANDLER_BYTES_MAX,
            "{} takes {} bytes of room: put what it seldom does into a box",
            O::SHAPE.name,
            size_of_running::<S, O, _>(&handler)
        );
        let bound = Bound::<S, O, _> {
            state: Arc::clone(&self.state),
            handler,
            operation: PhantomData,
        };
        self.rows.push(Row {
            operation: O::SHAPE,
            handler: Box::new(bound),
        });
        self
    }

    /// Adds what the service does by itself.
    #[must_use]
    pub fn job(mut self, job: Job) -> Table<S> {
        self.jobs.push(job);
        self
    }

    /// Declares everything that the service seals.
    #[must_use]
    pub fn seals(self, seals: impl IntoIterator<Item = Sealed>) -> Table<S> {
        Table {
            seals: seals.into_iter().collect(),
            ..self
        }
    }

    /// Says how the service tells of its resources, for `palisade why` of
    /// calls that nobody made.
    #[must_use]
    pub fn describes(self, describe: Describe) -> Table<S> {
        Table {
            describe: Some(describe),
            ..self
        }
    }

    /// Says that the service appends an encoded message to the words of a
    /// refusal, for `sts:DecodeAuthorizationMessage` to open, as EC2 does.
    #[must_use]
    pub fn encodes_refusals(self) -> Table<S> {
        Table {
            encodes_refusals: true,
            ..self
        }
    }

    /// Asks before each call whether it may run at all, such as by how many
    /// there were lately. What the program itself calls is not asked for.
    #[must_use]
    pub fn admits(self, admit: fn(&S, &Cx) -> Result<(), Fault>) -> Table<S> {
        let state = Arc::clone(&self.state);
        Table {
            admit: Some(Box::new(move |cx| admit(&state, cx))),
            ..self
        }
    }

    /// Says how the service meters itself, for `palisade usage`.
    #[must_use]
    pub fn meters(self, meter: Meter) -> Table<S> {
        Table {
            meter: Some(meter),
            ..self
        }
    }

    /// Says how the service tells whether what it rests on outside is well.
    #[must_use]
    pub fn watches(self, conditions: Conditions) -> Table<S> {
        Table {
            conditions: Some(conditions),
            ..self
        }
    }

    /// Lists the input members that handlers refuse, for `COVERAGE.md`.
    #[must_use]
    pub fn refuses(self, refused: &'static [Refused]) -> Table<S> {
        Table { refused, ..self }
    }

    /// The table, ready for the door.
    pub fn done(self) -> Service {
        Service {
            shape: self.service,
            rows: self.rows,
            jobs: self.jobs,
            seals: self.seals,
            describe: self.describe,
            encodes_refusals: self.encodes_refusals,
            admit: self.admit,
            meter: self.meter,
            conditions: self.conditions,
            refused: self.refused,
        }
    }
}

/// The room that a handler takes while it runs, in bytes. It is moved at every call.
fn size_of_running<S: 'static, O: Operation, H: for<'a> Handler<'a, S, O>>(_handler: &H) -> usize {
    size_of::<<H as Handler<'static, S, O>>::Running>()
}

/// A service as the door holds it.
pub struct Service {
    pub(crate) shape: &'static ServiceShape,
    pub(crate) rows: Vec<Row>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) seals: Vec<Sealed>,
    pub(crate) describe: Option<Describe>,
    pub(crate) encodes_refusals: bool,
    admit: Option<Admit>,
    pub(crate) meter: Option<Meter>,
    pub(crate) conditions: Option<Conditions>,
    refused: &'static [Refused],
}

/// Whether a call may run at all.
type Admit = Box<dyn Fn(&Cx) -> Result<(), Fault> + Send + Sync>;

impl Service {
    /// Whether a call may run now.
    pub(crate) fn admit(&self, cx: &Cx) -> Result<(), Fault> {
        self.admit.as_ref().map_or(Ok(()), |admit| admit(cx))
    }

    /// Its API.
    pub fn shape(&self) -> &'static ServiceShape {
        self.shape
    }

    /// Everything that it seals.
    pub fn sealed(&self) -> &[Sealed] {
        &self.seals
    }

    /// The input members its handlers refuse.
    pub fn refused(&self) -> &'static [Refused] {
        self.refused
    }

    /// The operations it answers, in table order.
    pub fn operations(&self) -> impl Iterator<Item = &'static OperationShape> + '_ {
        self.rows.iter().map(|row| row.operation)
    }
}

/// One row: an operation and its handler.
pub(crate) struct Row {
    pub(crate) operation: &'static OperationShape,
    pub(crate) handler: Box<dyn Invoke>,
}

/// What a successful handler leaves for the door.
pub(crate) struct Done {
    pub(crate) answer: Answer,
    /// The record's `responseElements`; only of calls that change something.
    pub(crate) response_elements: Option<String>,
}

/// What a successful handler leaves for a caller inside the process: its
/// output, and the record's `responseElements`.
pub(crate) type DoneWithin = (Box<dyn Any + Send>, Option<String>);

/// How an answer is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelled {
    /// Whole, with the headers of its protocol.
    ForOne,
    /// Status and body alone: a JSON answer that stands in a greater one.
    AmongOthers,
}

/// A handler with its types forgotten.
pub(crate) trait Invoke: Send + Sync {
    /// Checks an input that came over no wire, notes its parameters for the
    /// record and runs. `input` is the operation's own, and so is the output.
    fn invoke_within<'a>(
        &'a self,
        cx: &'a Cx,
        input: Box<dyn Any + Send>,
    ) -> BoxFuture<'a, Result<DoneWithin, Fault>>;

    /// Decodes, notes the parameters for the record, runs and encodes.
    fn invoke<'a>(
        &'a self,
        cx: &'a Cx,
        head: &'a RequestHead<'a>,
        body: &'a [u8],
        spelled: Spelled,
    ) -> BoxFuture<'a, Result<Done, Fault>>;
}

struct Bound<S, O, H> {
    state: Arc<S>,
    handler: H,
    operation: PhantomData<fn() -> O>,
}

impl<S, O, H> Invoke for Bound<S, O, H>
where
    S: Send + Sync + 'static,
    O: Operation,
    H: for<'a> Handler<'a, S, O>,
{
    fn invoke_within<'a>(
        &'a self,
        cx: &'a Cx,
        input: Box<dyn Any + Send>,
    ) -> BoxFuture<'a, Result<DoneWithin, Fault>> {
        let input = *input
            .downcast::<O::Input>()
            .expect("an operation is called with its own input");
        if let Err(fault) = cx.check(O::SHAPE, &input) {
            return Box::pin(std::future::ready(Err(fault)));
        }
        let run = self.handler.call(&self.state, cx, input);
        Box::pin(async move {
            let output = run.await?;
            let response_elements = (!O::SHAPE.read_only).then(|| record::elements(&output)).flatten();
            Ok((Box::new(output) as Box<dyn Any + Send>, response_elements))
        })
    }

    fn invoke<'a>(
        &'a self,
        cx: &'a Cx,
        head: &'a RequestHead<'a>,
        body: &'a [u8],
        spelled: Spelled,
    ) -> BoxFuture<'a, Result<Done, Fault>> {
        let mut input = O::Input::default();
        if let Err(fault) = cx.decode(O::SHAPE, head, body, &mut input) {
            return Box::pin(std::future::ready(Err(fault)));
        }
        let run = self.handler.call(&self.state, cx, input);
        Box::pin(async move {
            let output = run.await?;
            let response_elements = (!O::SHAPE.read_only).then(|| record::elements(&output)).flatten();
            let output: &dyn Structure = &output;
            let answer = match spelled {
                Spelled::AmongOthers => wire::encode_body(O::SHAPE, output),
                Spelled::ForOne if head.speaks_cbor() => wire::encode_cbor(O::SHAPE, output),
                Spelled::ForOne => wire::encode(O::SHAPE, output, cx.request_id()),
            };
            Ok(Done {
                answer,
                response_elements,
            })
        })
    }
}
