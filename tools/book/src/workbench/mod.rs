//! The served book as a workbench: a reader runs its scenes from their page, on their own machine, and changes the listings.
//!
//! A run is one request, and its answer, which ends with the run: whoever closes the page, or loses the connection, ends it. Programs
//! are named by the scene's id in the book, and take nothing from a browser but what the author allows (`input`) and other texts for
//! the listing's own files (`scratch`).

pub mod diagnostic;
mod play;
pub mod scratch;
pub mod token;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Json, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use futures_util::Stream;
use futures_util::stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower_http::services::ServeFile;

use crate::listing::Listing;
use crate::live::Event;
use crate::project::Project;
use crate::scene::Scene;
use play::Play;
use scratch::Changes;
use token::Token;

/// How many scenes may run at once.
const RUNS: usize = 4;
/// How many may wait for that.
const WAITING: usize = 32;
/// How many servers may be left running at once.
const SERVERS: usize = 4;
/// Bytes of a request.
const REQUEST: usize = 1 << 20;
/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How often a run that is silent says that it is there. If the browser is gone, that is noticed then.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// All that runs need.
pub struct Workbench {
    pub token: Token,
    project: Project,
    tool: PathBuf,
    /// Seconds that a server may be idle that has been left running.
    idle: u64,
    /// The scenes of the pages as they are now, by their ids.
    scenes: Mutex<BTreeMap<String, Scene>>,
    runs: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    servers: Arc<Semaphore>,
}

/// What a page asks to be run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    scene: String,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    /// By listing.
    #[serde(default)]
    changes: BTreeMap<String, Changes>,
    /// The first program is to be left running alone.
    #[serde(default)]
    alone: bool,
}

/// The listing whose files a page wants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    listing: String,
}

/// The files of a listing that a reader may change, by their names.
#[derive(Serialize)]
struct Files {
    files: BTreeMap<String, String>,
}

/// What a page wants as a patch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    listing: String,
    changes: Changes,
}

#[derive(Serialize)]
struct Patch {
    patch: String,
}

/// Why a page does not get what it asks for.
struct Refusal(StatusCode, String);

#[derive(Serialize)]
struct Reason {
    error: String,
}

impl Workbench {
    /// For a server at `port`; servers that are left running may be idle for so many seconds.
    pub fn new(project: Project, tool: PathBuf, port: u16, idle: u64) -> Result<Workbench> {
        Ok(Workbench {
            token: Token::random(port).context("there is no randomness")?,
            project,
            tool,
            idle,
            scenes: Mutex::default(),
            runs: Arc::new(Semaphore::new(RUNS)),
            waiting: Arc::new(Semaphore::new(RUNS + WAITING)),
            servers: Arc::new(Semaphore::new(SERVERS)),
        })
    }

    /// The pages have been made anew.
    pub fn set_scenes(&self, scenes: BTreeMap<String, Scene>) {
        *self.scenes() = scenes;
    }

    fn scenes(&self) -> MutexGuard<'_, BTreeMap<String, Scene>> {
        self.scenes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listing(&self, name: &str) -> Result<Listing, Refusal> {
        Listing::load(&self.project, name).map_err(refusal(StatusCode::NOT_FOUND))
    }

    /// The texts that a reader may change.
    fn files(&self, listing: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let listing = self.listing(listing)?;
        let text = |name: String| {
            let text = fs::read_to_string(listing.folder.join(&name));
            let text = text.with_context(|| format!("cannot read {name}"))?;
            Ok((name, text))
        };
        let names = listing.rust_files();
        let texts = names.and_then(|names| names.into_iter().map(text).collect());
        texts.map_err(refusal(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn patch(&self, listing: &str, changes: &Changes) -> Result<String, Refusal> {
        let listing = self.listing(listing)?;
        let wrong = StatusCode::UNPROCESSABLE_ENTITY;
        scratch::check(&listing, changes).map_err(refusal(wrong))?;
        scratch::patch(&self.project, &listing, changes).map_err(refusal(wrong))
    }

    /// The scene that a page wants to run, as it wants it.
    fn scene(&self, ask: &Ask) -> Result<Scene, Refusal> {
        let scene = self.scenes().get(&ask.scene).cloned();
        let Some(mut scene) = scene else {
            let why = format!("the book has no scene {:?}", ask.scene);
            return Err(Refusal(StatusCode::NOT_FOUND, why));
        };
        let wrong = StatusCode::UNPROCESSABLE_ENTITY;
        scene.fill(&ask.inputs).map_err(refusal(wrong))?;
        if ask.alone && !scene.server {
            let why = format!("{:?} has no server that can be left running", ask.scene);
            return Err(Refusal(wrong, why));
        }
        for (name, changes) in &ask.changes {
            scratch::check(&self.listing(name)?, changes).map_err(refusal(wrong))?;
        }
        Ok(scene)
    }
}

/// What a workbench answers.
pub fn router(workbench: Arc<Workbench>) -> Router {
    let editor = workbench.project.root.join("theme").join("editor.js");
    Router::new()
        .route("/__workbench/run", post(run))
        .route("/__workbench/listing", post(listing))
        .route("/__workbench/patch", post(patch))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&workbench),
            only_with_token,
        ))
        .layer(DefaultBodyLimit::max(REQUEST))
        .route_service("/__workbench/editor.js", ServeFile::new(editor))
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

async fn only_with_token(
    State(workbench): State<Arc<Workbench>>,
    request: Request,
    next: Next,
) -> Response {
    if workbench.token.is_in(request.headers()) {
        return next.run(request).await;
    }
    let why = "open the address that `cargo book serve` has printed: it has a token";
    Refusal(StatusCode::FORBIDDEN, why.into()).into_response()
}

/// Runs a scene.
async fn run(
    State(workbench): State<Arc<Workbench>>,
    request: Request,
) -> Result<Response, Refusal> {
    let ask: Ask = read(request).await?;
    let scene = block_in_place(|| workbench.scene(&ask))?;
    // A browser that does not read keeps nobody waiting, least of all who watches the limits; programs can only print so much.
    let (events, stream) = mpsc::unbounded_channel();
    let play = Play {
        project: workbench.project.clone(),
        tool: workbench.tool.clone(),
        scene,
        changes: ask.changes,
        alone: ask.alone.then_some(workbench.idle),
        events: events.clone(),
    };
    if ask.alone {
        let full = format!("{SERVERS} servers have been left running already; stop one of them");
        let permit = take(&workbench.servers, full)?;
        play.start(vec![permit]);
    } else {
        let full =
            format!("{RUNS} scenes run and {WAITING} wait already; wait for one, or stop it");
        let place = take(&workbench.waiting, full)?;
        let runs = Arc::clone(&workbench.runs);
        tokio::spawn(async move {
            if runs.available_permits() == 0 {
                let _ = events.send(Event::Waiting);
            }
            tokio::select! {
                Ok(permit) = runs.acquire_owned() => play.start(vec![place, permit]),
                // Nobody waits for it any more.
                () = events.closed() => {}
            }
        });
    }
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(lines(stream))
        .keep_alive(heartbeat)
        .into_response())
}

/// Tells the texts of a listing.
async fn listing(
    State(workbench): State<Arc<Workbench>>,
    request: Request,
) -> Result<Json<Files>, Refusal> {
    let wanted: Wanted = read(request).await?;
    let files = block_in_place(|| workbench.files(&wanted.listing))?;
    Ok(Json(Files { files }))
}

/// Makes a patch of a reader's changes.
async fn patch(
    State(workbench): State<Arc<Workbench>>,
    request: Request,
) -> Result<Json<Patch>, Refusal> {
    let Changed { listing, changes } = read(request).await?;
    let patch = block_in_place(|| workbench.patch(&listing, &changes))?;
    Ok(Json(Patch { patch }))
}

/// A request's JSON.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    match timeout(ARRIVAL, Json::from_request(request, &())).await {
        Ok(Ok(Json(read))) => Ok(read),
        Ok(Err(rejection)) => Err(too_much_or_wrong(&rejection)),
        Err(_) => {
            let why = format!(
                "the request took more than {} s to arrive",
                ARRIVAL.as_secs()
            );
            Err(Refusal(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

fn too_much_or_wrong(rejection: &JsonRejection) -> Refusal {
    let why = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the request has more than {} KiB", REQUEST / 1024)
        }
        _ => rejection.body_text(),
    };
    Refusal(rejection.status(), why)
}

fn take(places: &Arc<Semaphore>, full: String) -> Result<OwnedSemaphorePermit, Refusal> {
    let place = Arc::clone(places).try_acquire_owned();
    place.map_err(|_| Refusal(StatusCode::TOO_MANY_REQUESTS, full))
}

fn refusal(status: StatusCode) -> impl Fn(anyhow::Error) -> Refusal {
    move |error| Refusal(status, format!("{error:#}"))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, error) = self;
        (status, Json(Reason { error })).into_response()
    }
}

/// The events as a browser reads them (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
fn lines(
    events: mpsc::UnboundedReceiver<Event>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(events, async |mut events| {
        let event = events.recv().await?;
        // Its texts are UTF-8, and its maps have names: it can always be written.
        let line = sse::Event::default().json_data(event).unwrap_or_default();
        Some((Ok(line), events))
    })
}
