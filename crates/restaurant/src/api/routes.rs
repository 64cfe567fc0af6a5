//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::routing::{MethodFilter, on};
use http::Method;

use super::app::App;
use super::guard::guard;
use super::need::{Need, RouteNeed};

/// Routes under construction.
#[derive(Default)]
pub struct Routes {
    pub(super) router: Router<Arc<App>>,
    pub(super) needs: Vec<RouteNeed>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.needs).finish()
    }
}

impl Routes {
    fn route<H, T>(&mut self, method: Method, path: &'static str, need: Need, handler: H)
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method of this table");
        let guarded =
            on(filter, handler).layer(middleware::from_fn(move |request: Request, next: Next| {
                guard(need, request, next)
            }));
        self.router = std::mem::take(&mut self.router).route(path, guarded);
        self.needs.push(RouteNeed { method, path, need });
    }

    /// Adds a `GET`.
    pub fn get<H: Handler<T, Arc<App>>, T: 'static>(
        &mut self,
        path: &'static str,
        need: Need,
        handler: H,
    ) {
        self.route(Method::GET, path, need, handler);
    }

    /// Adds a `POST`.
    pub fn post<H: Handler<T, Arc<App>>, T: 'static>(
        &mut self,
        path: &'static str,
        need: Need,
        handler: H,
    ) {
        self.route(Method::POST, path, need, handler);
    }

    /// Adds a `PATCH`.
    pub fn patch<H: Handler<T, Arc<App>>, T: 'static>(
        &mut self,
        path: &'static str,
        need: Need,
        handler: H,
    ) {
        self.route(Method::PATCH, path, need, handler);
    }

    /// Adds a `PUT`.
    pub fn put<H: Handler<T, Arc<App>>, T: 'static>(
        &mut self,
        path: &'static str,
        need: Need,
        handler: H,
    ) {
        self.route(Method::PUT, path, need, handler);
    }

    /// Adds a `DELETE`.
    pub fn delete<H: Handler<T, Arc<App>>, T: 'static>(
        &mut self,
        path: &'static str,
        need: Need,
        handler: H,
    ) {
        self.route(Method::DELETE, path, need, handler);
    }
}
