//! The served book as a workbench: a reader runs its scenes from their page, on their own machine.
//!
//! A run is one request, and its answer, which ends with the run: whoever closes the page, or loses the connection, ends it. Programs
//! are named by the scene's id in the book, and take nothing from a browser but what the author allows (`input`).

mod play;
mod scratch;
pub mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Json, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{BoxError, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::live::Event;
use crate::project::Project;
use crate::scene::Scene;
use token::Token;

/// How many scenes may run at once.
const RUNS: usize = 4;
/// Bytes of a request.
const REQUEST: usize = 16 * 1024;
/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How often a run that is silent says that it is there. If the browser is gone, that is noticed then.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Events that wait for a slow browser; then the programs' output waits.
const WAITING: usize = 64;

/// Where runs are asked for.
pub const RUN: &str = "/__workbench/run";

/// All that runs need.
pub struct Workbench {
    pub token: Token,
    project: Project,
    tool: PathBuf,
    /// The scenes of the pages as they are now, by their ids.
    scenes: Mutex<BTreeMap<String, Scene>>,
    runs: Arc<Semaphore>,
}

/// What a page asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    scene: String,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
}

/// Why it does not get it.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

impl Workbench {
    pub fn new(project: Project, tool: PathBuf) -> std::io::Result<Workbench> {
        Ok(Workbench {
            token: Token::random()?,
            project,
            tool,
            scenes: Mutex::default(),
            runs: Arc::new(Semaphore::new(RUNS)),
        })
    }

    /// The pages have been made anew.
    pub fn set_scenes(&self, scenes: BTreeMap<String, Scene>) {
        *self.scenes() = scenes;
    }

    fn scenes(&self) -> MutexGuard<'_, BTreeMap<String, Scene>> {
        self.scenes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a workbench answers.
pub fn router(workbench: Arc<Workbench>) -> Router {
    Router::new()
        .route(RUN, post(run))
        .layer(DefaultBodyLimit::max(REQUEST))
        .with_state(workbench)
}

#[derive(Deserialize)]
pub struct Opened {
    token: Option<String>,
}

/// Gives the cookie to whoever opens a page with the token, and takes the token out of the address, where others might see it.
pub async fn greet(
    State(workbench): State<Arc<Workbench>>,
    Query(opened): Query<Opened>,
    request: Request,
    next: Next,
) -> Response {
    match opened.token {
        Some(token) if workbench.token.is(&token) => {
            let cookie = workbench.token.cookie();
            let page = Redirect::to(request.uri().path());
            ([(header::SET_COOKIE, cookie)], page).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Runs a scene.
async fn run(
    State(workbench): State<Arc<Workbench>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    if !workbench.token.is_in(&headers) {
        return refuse(
            StatusCode::FORBIDDEN,
            "open the address that `cargo book serve` has printed: it has a token",
        );
    }
    let ask = match timeout(ARRIVAL, read(request)).await {
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive"),
        Ok(Err(rejection)) => return refuse(rejection.status(), &rejection.body_text()),
        Ok(Ok(ask)) => ask,
    };
    let Ok(permit) = Arc::clone(&workbench.runs).try_acquire_owned() else {
        let why = format!("{RUNS} scenes run already; wait for one, or stop it");
        return refuse(StatusCode::TOO_MANY_REQUESTS, &why);
    };
    let scene = workbench.scenes().get(&ask.scene).cloned();
    let Some(mut scene) = scene else {
        let why = format!("the book has no scene {:?}", ask.scene);
        return refuse(StatusCode::NOT_FOUND, &why);
    };
    if let Err(error) = scene.fill(&ask.inputs) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}"));
    }
    let (sender, events) = mpsc::channel(WAITING);
    play::start(
        workbench.project.clone(),
        workbench.tool.clone(),
        scene,
        ask.inputs,
        sender,
        permit,
    );
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, body(events)).into_response()
}

async fn read(request: Request) -> Result<Ask, JsonRejection> {
    use axum::extract::FromRequest;
    Json::from_request(request, &()).await.map(|Json(ask)| ask)
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let refusal = Refusal { error: why.into() };
    (status, Json(refusal)).into_response()
}

/// The events, a line of JSON for each, and an empty line while there is none.
fn body(events: mpsc::Receiver<Event>) -> Body {
    let lines = stream::unfold(events, async |mut events| {
        let line = match timeout(HEARTBEAT, events.recv()).await {
            Err(_) => "\n".to_owned(),
            Ok(None) => return None,
            Ok(Some(event)) => serde_json::to_string(&event).unwrap_or_default() + "\n",
        };
        Some((Ok::<_, BoxError>(line), events))
    });
    Body::from_stream(lines)
}
