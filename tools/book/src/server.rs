//! Serves the book to browsers on this machine, and to nobody else.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::janitor;
use crate::late::{Late, PATIENCE};
use crate::project::Project;
use crate::render::Render;
use crate::text;
use crate::watch::Watch;
use crate::workbench::{self, Workbench};

/// mdBook's own script opens a WebSocket there and reloads the page when it is told to.
const LIVE_RELOAD: &str = "__livereload";

/// How often the book has been built. Open pages reload when it changes.
type Builds = watch::Receiver<u64>;

/// A page says by this cookie in which build it was made, since it may have changed again before its WebSocket is open.
const COOKIE: &str = "build";

/// Builds the book, serves it at `port` of the loopback address until Ctrl-C, and builds it again after every change. A server that a
/// reader has left running may be idle for `idle` seconds.
pub fn serve(project: Project, tool: PathBuf, port: u16, idle: u64, open: bool) -> Result<()> {
    let pages = project.state().join("served");
    let runtime = tokio::runtime::Runtime::new().context("cannot start the server")?;

    // Before the build, which takes a while: a port that is taken is said at once.
    let address = (Ipv4Addr::LOCALHOST, port);
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("port {port} is taken by another program; choose one with --port")
            }
            _ => anyhow::Error::new(error).context(format!("cannot listen on 127.0.0.1:{port}")),
        })?;
    let port = listener.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}");

    let _janitor = janitor::start(&project, &tool)?;
    let workbench = Workbench::new(project.clone(), tool.clone(), port, idle)?;
    let workbench = Arc::new(workbench);
    let mut sources = Watch::start(&project)?;
    let mut render = Render {
        project,
        tool,
        fresh: false,
        live_reload: Some(LIVE_RELOAD.into()),
        late: Some(Arc::new(Late::new(sources.sender.clone()))),
        patience: Duration::MAX,
        workbench: Some(Arc::clone(&workbench)),
    };
    render.render(&pages)?;
    render.patience = PATIENCE;
    let (built, builds) = watch::channel(0);
    let app = router(&pages, port, builds, Arc::clone(&workbench));
    runtime.spawn(async move { axum::serve(listener, app).await });
    // Who has it may run programs here: it is for this terminal's user alone.
    let url = format!("{url}/{}", workbench.token.query());
    eprintln!("the book is at {url} (Ctrl-C ends it)");
    if open && opener::open_browser(&url).is_err() {
        eprintln!("no browser could be opened; open the address yourself");
    }
    loop {
        sources.wait()?;
        let start = Instant::now();
        match render.render(&pages) {
            Ok(()) => {
                built.send_modify(|builds| *builds += 1);
                eprintln!("built again in {:.1} s", start.elapsed().as_secs_f64());
            }
            Err(error) => {
                let message = text::readable(format!("{error:#}").as_bytes());
                eprintln!("error: {message}\nthe pages are as they were");
            }
        }
    }
}

fn router(pages: &Path, port: u16, builds: Builds, workbench: Arc<Workbench>) -> Router {
    let guard = Arc::new(Allowed::at(port));
    let current = builds.clone();
    let cookie = move |_: &Response| {
        HeaderValue::from_str(&format!(
            "{COOKIE}={}; HttpOnly; SameSite=Strict",
            *current.borrow()
        ))
        .ok()
    };
    let not_found = ServeFile::new(pages.join("404.html"));
    Router::new()
        .route(&format!("/{LIVE_RELOAD}"), any(live_reload))
        .with_state(builds)
        .merge(workbench::router(Arc::clone(&workbench)))
        .fallback_service(ServeDir::new(pages).not_found_service(not_found))
        .layer(SetResponseHeaderLayer::appending(
            header::SET_COOKIE,
            cookie,
        ))
        .layer(middleware::from_fn_with_state(workbench, workbench::greet))
        .layer(set(header::CACHE_CONTROL, "no-store"))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Nobody is to be led to click here while they see something else. mdBook shows its own table of contents in a frame.
        .layer(set(
            header::CONTENT_SECURITY_POLICY,
            "frame-ancestors 'self'",
        ))
        .layer(middleware::from_fn_with_state(guard, only_this_machine))
}

fn set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// The names that this server answers to. A page elsewhere can make a browser send requests here, by a name of its own that it
/// points at this machine (DNS rebinding); what it cannot do is to make the browser say one of these names.
struct Allowed {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Allowed {
    fn at(port: u16) -> Allowed {
        let hosts: Vec<String> = ["127.0.0.1", "localhost"]
            .map(|host| format!("{host}:{port}"))
            .into();
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
        let mut hosts = hosts;
        if port == 80 {
            hosts.extend(["127.0.0.1".into(), "localhost".into()]);
            origins.extend(["http://127.0.0.1".into(), "http://localhost".into()]);
        }
        Allowed { hosts, origins }
    }

    /// Why a request with these headers is not answered; none if it is.
    fn refusal(
        &self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, &'static str)> {
        // A target that names a host counts for more than the header (RFC 9112, section 3.2.2).
        let named = target.authority().map(|authority| authority.as_str());
        let is_known = |name: &str| {
            self.hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(name))
        };
        if !named.is_none_or(is_known) || !only_value_is_in(&self.hosts, headers, header::HOST) {
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "This server has another name.\n",
            ));
        }
        // Whatever is more than reading a page must come from one of this server's own pages.
        let reads = method.is_safe() && !headers.contains_key(header::UPGRADE);
        let has_origin = headers.contains_key(header::ORIGIN);
        if (has_origin || !reads) && !only_value_is_in(&self.origins, headers, header::ORIGIN) {
            return Some((
                StatusCode::FORBIDDEN,
                "This request comes from another site.\n",
            ));
        }
        None
    }
}

/// Whether the header `name` is there once, with one of the values in `list`.
fn only_value_is_in(list: &[String], headers: &HeaderMap, name: HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    match (
        values.next().and_then(|value| value.to_str().ok()),
        values.next(),
    ) {
        (Some(value), None) => list.iter().any(|known| known.eq_ignore_ascii_case(value)),
        _ => false,
    }
}

async fn only_this_machine(
    State(allowed): State<Arc<Allowed>>,
    request: Request,
    next: Next,
) -> Response {
    match allowed.refusal(request.method(), request.uri(), request.headers()) {
        Some((status, reason)) => (status, reason).into_response(),
        None => next.run(request).await,
    }
}

/// Holds a page's WebSocket open until the page is to reload, or is gone.
async fn live_reload(
    upgrade: WebSocketUpgrade,
    State(mut builds): State<Builds>,
    headers: HeaderMap,
) -> Response {
    let current = format!("{COOKIE}={}", *builds.borrow_and_update());
    let cookies = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut is_old = cookies
        .split("; ")
        .filter(|cookie| cookie.split('=').next() == Some(COOKIE))
        .any(|cookie| cookie != current);
    upgrade
        .max_message_size(1024)
        .on_upgrade(async move |mut socket: WebSocket| {
            while !is_old {
                tokio::select! {
                    _ = builds.changed() => is_old = true,
                    message = socket.recv() => if !matches!(message, Some(Ok(_))) {
                        return;
                    },
                }
            }
            // A page that is gone by now needs no new one.
            let _ = socket.send(Message::text("reload")).await;
        })
}
