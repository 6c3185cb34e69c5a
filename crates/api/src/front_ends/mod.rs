//! Chatwoot's own front ends, unmodified: a build of them (`CHATWARDEN_FRONTEND_DIR`, the folder
//! `public` of a Chatwoot release) is served with the pages around it (`serving-clients.md`).

mod absent;
mod build;
mod files;
mod globals;
mod pages;
mod well_known;

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};

use crate::routes::Routes;
use build::Build;
pub use build::BuildError;

/// What an operator may choose about the front ends.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folder `public` of a build; without one the pages say so.
    pub folder: Option<PathBuf>,
    /// The largest file that may be sent, in MB.
    pub maximum_file_upload_size: u64,
    /// Whether the dashboard may link a manifest (`DISPLAY_MANIFEST`).
    pub display_manifest: bool,
}

/// The front ends of a server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct FrontEnds(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    settings: Settings,
    build: Option<Build>,
}

impl FrontEnds {
    /// Looks at the build once: what it is made of doesn't change while it is served.
    ///
    /// # Errors
    /// A folder that holds no build.
    pub fn open(settings: Settings) -> Result<Self, BuildError> {
        let build = settings.folder.as_deref().map(Build::open).transpose()?;
        Ok(Self(Arc::new(Inner { settings, build })))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn build(&self) -> Option<&Build> {
        self.0.build.as_ref()
    }

    /// What a request asks of the build, if it may be a file of it.
    pub(crate) fn asked(&self, request: &Request) -> Option<Request> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        self.build().filter(|_| reads)?;
        let mut asked = Request::new(Body::empty());
        asked.method_mut().clone_from(request.method());
        asked.uri_mut().clone_from(request.uri());
        asked.headers_mut().clone_from(request.headers());
        Some(asked)
    }

    /// The file that was asked for; nothing where there is none.
    pub(crate) async fn file(&self, asked: Request) -> Option<Response> {
        let response = files::serve(&self.build()?.folder, asked).await;
        (response.status() != StatusCode::NOT_FOUND).then_some(response)
    }
}

pub(crate) fn routes() -> Routes {
    pages::routes().merge(well_known::routes()).merge(absent::routes())
}
