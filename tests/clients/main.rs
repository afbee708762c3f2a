//! What others make of the OpenAPI document: requests, sensible and not, and a client. Root needed: agents and those who ask them run in
//! network namespaces of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod generated;
mod requests;
