//! The table of routes: each with what it needs. A route cannot be registered without its [`Need`], and the OpenAPI document
//! is made from the same table.

use crate::api::Api;
use crate::guard;
use crate::need::{Door, Need};
use axum::extract::Request;
use axum::middleware::{self, Next};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, Schema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// One route, for those who walk the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteNeed {
    /// `GET`, `POST`…
    pub method: &'static str,
    /// `/api/agents/{id}`.
    pub path: String,
    /// What it asks.
    pub need: Need,
}

/// The table while it is made.
#[derive(Default)]
pub(crate) struct Table {
    router: OpenApiRouter<Arc<Api>>,
    needs: Vec<RouteNeed>,
    schemas: HashMap<String, RefOr<Schema>>,
}

impl Table {
    /// Adds the operation of one handler.
    pub(crate) fn add(mut self, need: Need, routes: UtoipaMethodRouter<Arc<Api>>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for (name, schema) in &schemas {
            let known = self.schemas.insert(name.clone(), schema.clone());
            // The document would show one of them in both places.
            debug_assert!(
                known.is_none_or(|known| known == *schema),
                "two types of the document are called {name}"
            );
        }
        for (path, item) in &mut paths.paths {
            for (method, operation) in [
                ("GET", &mut item.get),
                ("PUT", &mut item.put),
                ("POST", &mut item.post),
                ("PATCH", &mut item.patch),
                ("DELETE", &mut item.delete),
            ] {
                if let Some(operation) = operation {
                    name(operation);
                    annotate(operation, need);
                    self.needs.push(RouteNeed {
                        method,
                        path: path.clone(),
                        need,
                    });
                }
            }
        }
        let methods = methods.layer(middleware::from_fn(move |request: Request, next: Next| {
            guard::guard(need, request, next)
        }));
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// The router, its document, and the needs.
    pub(crate) fn finish(
        self,
    ) -> (
        axum::Router<Arc<Api>>,
        utoipa::openapi::OpenApi,
        Vec<RouteNeed>,
    ) {
        let (router, document) = self.router.split_for_parts();
        (router, document, self.needs)
    }
}

/// Ids of operations are unique in the document (OpenAPI 3.1, 4.8.10.1): names of functions are unique within a tag.
fn name(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first());
    let function = operation.operation_id.as_ref();
    if let (Some(tag), Some(function)) = (tag, function) {
        let tag = tag.replace(['-', ' '], "_");
        operation.operation_id = Some(format!("{tag}_{function}"));
    }
}

fn annotate(operation: &mut Operation, need: Need) {
    let schemes: &[&str] = match need.door {
        Door::Open => &[],
        Door::Keys => &["apiKey", "session"],
        Door::Node => &["adminToken", "session"],
        Door::Agents => &["apiKey", "session", "agentToken"],
        Door::Chat => &["apiKey", "session", "agentToken", "publicToken"],
        Door::Any => &["apiKey", "session", "agentToken", "adminToken"],
    };
    operation.security = Some(
        schemes
            .iter()
            .map(|scheme| SecurityRequirement::new(*scheme, std::iter::empty::<&str>()))
            .collect(),
    );
    let mut extensions = Extensions::builder();
    if need.door != Door::Open {
        extensions = extensions
            .add("x-scope", need.to_string())
            .add("x-role", need.role.label())
            .add("x-door", format!("{:?}", need.door).to_lowercase());
    }
    operation.extensions = Some(extensions.build());
    let problem = ResponseBuilder::new()
        .description("An error, as problem+json (RFC 9457).")
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build();
    operation
        .responses
        .responses
        .entry("default".to_owned())
        .or_insert_with(|| problem.into());
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_types_of_the_document_have_one_name() {
        assert!(!crate::routes::table().finish().2.is_empty());
    }
}
