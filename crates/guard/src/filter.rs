//! One tower service for every layer of the edge that looks at the request before and at the
//! response after: the layer itself is then a plain value with two functions, without pinning,
//! boxing or cloning of the stack below it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use futures::future::BoxFuture;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// What a filter does before and after the service below it.
pub trait Filter: Clone + Send + Sync + 'static {
    /// What the filter carries from the request to the response.
    type Ticket: Send + 'static;

    /// Looks at the request, and may change it or answer in place of the service below.
    fn admit(&self, request: &mut Request) -> Admission<Self::Ticket>;

    /// Completes the response of the service below. Not called for a filter's own answer.
    fn seal(&self, ticket: Self::Ticket, response: &mut Response);
}

/// The outcome of [`Filter::admit`].
pub enum Admission<T> {
    /// Go on; the ticket comes back in [`Filter::seal`].
    Pass(T),
    /// Answer at once.
    Answer(Box<Response>),
    /// The outcome needs I/O; the request waits meanwhile.
    Wait(BoxFuture<'static, Result<T, Box<Response>>>),
}

/// The tower layer of a filter.
#[derive(Debug, Clone)]
pub struct FilterLayer<F>(pub F);

impl<F: Filter, S> Layer<S> for FilterLayer<F> {
    type Service = Filtered<F, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Filtered { filter: self.0.clone(), inner }
    }
}

/// A service behind a filter.
#[derive(Debug, Clone)]
pub struct Filtered<F, S> {
    filter: F,
    inner: S,
}

impl<F, S> Service<Request> for Filtered<F, S>
where
    F: Filter,
    S: Service<Request, Response = Response> + Clone,
{
    type Response = Response;
    type Error = S::Error;
    type Future = FilterFuture<F, S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let filter = self.filter.clone();
        let state = match filter.admit(&mut request) {
            Admission::Pass(ticket) => {
                State::Running { future: self.inner.call(request), ticket: Some(ticket) }
            }
            Admission::Answer(response) => State::Answered { response: Some(response) },
            Admission::Wait(decision) => {
                // The instance that was polled ready is the one that must be called.
                let fresh = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, fresh);
                State::Waiting { decision, held: Some((inner, request)) }
            }
        };
        FilterFuture { filter, state }
    }
}

pin_project! {
    /// The response of a filtered service.
    pub struct FilterFuture<F, S> where F: Filter, S: Service<Request> {
        filter: F,
        #[pin]
        state: State<F::Ticket, S, S::Future>,
    }
}

pin_project! {
    #[project = StateView]
    enum State<T, S, Fut> {
        Waiting { decision: BoxFuture<'static, Result<T, Box<Response>>>, held: Option<(S, Request)> },
        Running { #[pin] future: Fut, ticket: Option<T> },
        Answered { response: Option<Box<Response>> },
    }
}

impl<F, S> Future for FilterFuture<F, S>
where
    F: Filter,
    S: Service<Request, Response = Response>,
{
    type Output = Result<Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateView::Waiting { decision, held } => {
                    let outcome = std::task::ready!(decision.as_mut().poll(cx));
                    let next = match (outcome, held.take()) {
                        (Ok(ticket), Some((mut inner, request))) => {
                            State::Running { future: inner.call(request), ticket: Some(ticket) }
                        }
                        (Err(response), _) => State::Answered { response: Some(response) },
                        // Polled after completion: nothing is left to answer with.
                        (Ok(_), None) => return Poll::Pending,
                    };
                    this.state.set(next);
                }
                StateView::Running { future, ticket } => {
                    let mut response = std::task::ready!(future.poll(cx))?;
                    if let Some(ticket) = ticket.take() {
                        this.filter.seal(ticket, &mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateView::Answered { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(*response)),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }
}
