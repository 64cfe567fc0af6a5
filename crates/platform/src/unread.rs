//! Bodies that nobody read: of a request that was refused by its head alone.
//!
//! hyper closes a connection whose request is not there whole when it was answered. A client that was not told so sends its next request
//! there, and gets no answer to it: so the answer says that the connection ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// The router, whose answers say `Connection: close` where the body of the request was not read to its end.
pub fn tell_of_unread(router: Router) -> Router {
    router.layer(from_fn(told))
}

async fn told(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let unread = Arc::new(AtomicBool::new(true));
    let other = Arc::clone(&unread);
    let request = request.map(|body| {
        Body::new(Watched {
            body,
            unread: other,
        })
    });
    let mut response = next.run(request).await;
    if unread.load(Ordering::Acquire) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// A body that notes when it was read to its end.
struct Watched {
    body: Body,
    unread: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.unread.store(false, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
