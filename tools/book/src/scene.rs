//! A scene: programs of a listing, and of others perhaps, started one after another, each in a terminal of its own; what they printed
//! becomes Markdown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::closed_port::ClosedPort;
use crate::file::Folder;
use crate::guard::{Job, Purpose};
use crate::input::{self, Input};
use crate::limits::{self, Idle};
use crate::listing::Listing;
use crate::live::{Event, Live};
use crate::markdown;
use crate::process::{self, OUTPUT_LIMIT, Process};
use crate::project::Project;
use crate::recording::{self, Content, Provenance, Recording};
use crate::story::Story;
use crate::tell::{self, Actor};
use crate::transcript::{self, Transcript};
use crate::witness::{Seen, Witness};

/// A server says this, and where, in the first line that it prints.
const LISTENING: &str = "listening on ";

/// How long a program may take to finish a line that it has begun, when the scene is over.
const LINE: Duration = Duration::from_secs(1);

/// A server that is left running may print as much.
pub const SERVER_OUTPUT_LIMIT: usize = 16 * OUTPUT_LIMIT;

/// How many times as long a program may take that is watched.
const WATCHED: u64 = 6;

/// The arguments of `book scene`.
#[derive(clap::Args, Clone, Debug)]
pub struct Scene {
    /// The exit code that the last program must end with
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub fails: i32,
    /// Nobody listens at the listing's address: connections to it are refused
    #[arg(long)]
    pub closed_port: bool,
    /// How long each program may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub deadline: u64,
    /// Show what `cargo book record` has recorded under this name, rather than play it
    #[arg(long, value_name = "NAME", value_parser = recording::name)]
    pub recorded: Option<String>,
    /// Show beneath it how it went call by call, as `cargo book record` has recorded under this name
    #[arg(long, value_name = "NAME", value_parser = recording::name, conflicts_with = "recorded")]
    pub replay: Option<String>,
    /// What a reader of the served book may change: where a program's arguments have {NAME}, they get VALUE unless it is changed.
    /// KIND is text, number or address
    #[arg(long = "input", value_name = "NAME:KIND=VALUE")]
    pub inputs: Vec<Input>,
    /// Its first program is a server that a reader of the served book may leave running
    #[arg(long)]
    pub server: bool,
    /// A folder in listings/
    pub listing: String,
    /// A program and its arguments; `LISTING/PROGRAM` is one of another listing; with ` &` at its end the next program starts after
    /// its first line. A recorded scene can have programs of this machine, too
    #[arg(required = true)]
    pub programs: Vec<String>,
}

/// What makes one scene another than the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    fails: i32,
    closed_port: bool,
    programs: Vec<String>,
}

/// One program of a scene, as its author wrote it.
struct Line {
    /// The name of its listing; none if it is a program of this machine.
    listing: Option<String>,
    program: String,
    arguments: Vec<String>,
    in_background: bool,
}

/// All that a scene needs.
pub struct Cast {
    /// The scene's own listing: its address is the scene's.
    pub listing: Listing,
    pub others: Vec<Listing>,
    lines: Vec<Line>,
}

/// A story, and where it comes from.
pub struct RecordedStory {
    pub story: Story,
    pub provenance: Provenance,
    /// The listings that have changed since.
    pub changed: Vec<String>,
    /// The command that records it again.
    pub again: String,
}

/// One program of a scene, running or ended.
struct Terminal {
    /// What a reader types.
    command: String,
    /// What it is called: `server`.
    name: String,
    process: Process,
}

impl Scene {
    /// Reads the listings, and fails if the scene asks for something that they do not have.
    pub fn check(&self, project: &Project) -> Result<Cast> {
        let listing = Listing::load(project, &self.listing)?;
        let mut cast = Cast {
            listing,
            others: Vec::new(),
            lines: Vec::new(),
        };
        for text in &self.programs {
            let line = self.line(text, &cast.listing)?;
            if let Some(name) = &line.listing {
                if cast.all().all(|known| known.name != *name) {
                    cast.others.push(Listing::load(project, name)?);
                }
                for listing in cast.all().filter(|known| known.name == *name) {
                    listing.check_program(&line.program)?;
                }
            }
            cast.lines.push(line);
        }
        ensure!(
            !self.closed_port || cast.listing.address.is_some(),
            "--closed-port needs an address under [package.metadata.book] in listings/{}/Cargo.toml",
            cast.listing.name
        );
        Ok(cast)
    }

    /// How long each program may take, in seconds, if the scene is played for this purpose.
    fn deadline(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Story => self.deadline * WATCHED,
            _ => self.deadline,
        }
    }

    /// The longest that all of it can take, in seconds.
    pub fn longest(&self, purpose: Purpose, alone: Option<u64>) -> u64 {
        if alone.is_some() {
            return u64::MAX;
        }
        // The first program may have to be started twice.
        self.deadline(purpose) * (self.programs.len() as u64 + 1) + 1
    }

    /// Whether the other one would be recorded in the same way.
    pub fn is_like(&self, other: &Scene) -> bool {
        self.words() == other.words() && self.replay == other.replay
    }

    /// What makes it another than the next.
    pub fn words(&self) -> Words {
        Words {
            fails: self.fails,
            closed_port: self.closed_port,
            programs: self
                .programs
                .iter()
                .map(|program| input::fill_line(program, &self.inputs))
                .collect(),
        }
    }

    /// The command that plays it.
    pub fn command(&self) -> Result<String> {
        let (fails, deadline) = (self.fails.to_string(), self.deadline.to_string());
        let inputs: Vec<String> = self.inputs.iter().map(Input::definition).collect();
        let mut words = vec!["book", "scene", "--fails", &fails, "--deadline", &deadline];
        for input in &inputs {
            words.extend(["--input", input]);
        }
        if self.closed_port {
            words.push("--closed-port");
        }
        if let Some(name) = &self.recorded {
            words.extend(["--recorded", name]);
        }
        if let Some(name) = &self.replay {
            words.extend(["--replay", name]);
        }
        words.push(&self.listing);
        words.extend(self.programs.iter().map(String::as_str));
        Ok(shlex::try_join(words)?)
    }

    /// What has been recorded of it, as Markdown.
    pub fn recorded_page(&self, project: &Project) -> Result<String> {
        let cast = self.check(project)?;
        let name = self.recorded.as_deref().unwrap_or_default();
        let recording = Recording::load(&cast.listing, name)?;
        let again = recording::command(&cast.listing.name, name);
        match &recording.content {
            Content::Scene { words, terminals } if *words == self.words() => {
                let changed = recording.provenance.changed(cast.all());
                let provenance = markdown::provenance(&recording.provenance, &again, &changed);
                Ok(markdown::recorded(terminals, &provenance))
            }
            _ => bail!("another scene has been recorded as {name:?}; `{again}` records this one"),
        }
    }

    /// Its story, as it has been recorded, and where that comes from.
    pub fn recorded_story(&self, listing: &Listing, cast: &Cast) -> Result<RecordedStory> {
        let name = self.replay.as_deref().unwrap_or_default();
        let recording = Recording::load(listing, name)?;
        let again = recording::command(&listing.name, name);
        match recording.content {
            Content::Story { words, story } if words == self.words() => Ok(RecordedStory {
                changed: recording.provenance.changed(cast.all()),
                provenance: recording.provenance,
                story,
                again,
            }),
            _ => bail!("another scene has been recorded as {name:?}; `{again}` records this one"),
        }
    }

    /// Plays the scene, as `job` says.
    pub fn play(&self, project: &Project, job: &Job) -> Result<Vec<Transcript>> {
        let (actors, _) = self.perform(project, job, None)?;
        Ok(actors.into_iter().map(|actor| actor.transcript).collect())
    }

    /// Plays it, and prints what happens in it while it happens. How its programs end is for the reader to judge, who may have changed
    /// them.
    pub fn play_live(&self, project: &Project, job: &Job) -> Result<()> {
        self.perform(project, job, None)?;
        Ok(())
    }

    /// Gives the inputs the values that a reader wants.
    pub fn fill(&mut self, values: &BTreeMap<String, String>) -> Result<()> {
        for (name, value) in values {
            let input = self.inputs.iter_mut().find(|input| input.name == *name);
            let input = input.with_context(|| format!("the scene has no input {name:?}"))?;
            *input = input.with(value)?;
        }
        Ok(())
    }

    /// Fails if an input has no place.
    pub fn check_inputs(&self, cast: &Cast) -> Result<()> {
        ensure!(
            !self.closed_port || self.inputs.iter().all(|input| input.address().is_none()),
            "with --closed-port there is no server whose address could be another one"
        );
        input::check(&self.inputs, &self.programs, cast.listing.address)
    }

    /// Plays it before a witness, and tells what that has seen.
    pub fn tell(&self, project: &Project, job: &Job) -> Result<Story> {
        let witness = Witness::start(job.folder())?;
        let (actors, seen) = self.perform(project, job, Some(witness))?;
        tell::story(&project.root, &actors, &seen.context("nobody has watched")?)
    }

    fn perform(
        &self,
        project: &Project,
        job: &Job,
        witness: Option<Witness>,
    ) -> Result<(Vec<Actor>, Option<Seen>)> {
        let cast = self.check(project)?;
        // The tool removes it, whatever happens.
        let folder =
            Folder::new(job.folder(), "scene-").context("cannot make a folder for the scene")?;
        let live = (job.purpose == Purpose::Live).then(Live::default);
        let stage = Stage {
            scene: self,
            job,
            cast: &cast,
            folder: folder.path(),
            witness: witness.as_ref(),
            live: live.as_ref(),
        };
        let mut terminals = Vec::new();
        let outcome = stage.play(&mut terminals);
        // Of a scene that has failed nothing is told.
        if let (Some(witness), Ok(())) = (&witness, &outcome) {
            witness.await_quiet()?;
        }
        // None of them is to see another one's end.
        for terminal in &terminals {
            terminal.process.freeze();
        }
        let seen = witness.map(Witness::end);
        for terminal in &mut terminals {
            terminal.process.stop().context(terminal.command.clone())?;
        }
        say(live.as_ref(), &terminals, None)?;
        let actors: Vec<Actor> = terminals
            .iter()
            .map(|terminal| Actor {
                name: terminal.name.clone(),
                transcript: Transcript::of(&terminal.command, &terminal.process),
            })
            .collect();
        match outcome.and_then(|()| seen.transpose()) {
            Ok(seen) => Ok((actors, seen)),
            // Whoever looks on has seen what was printed.
            Err(error) if live.is_some() => Err(error),
            Err(error) => {
                let printed = actors.iter().map(|actor| &actor.transcript);
                Err(error.context(transcript::plain(printed)))
            }
        }
    }

    /// Reads what the author wrote of one program; `own` is the scene's listing.
    fn line(&self, text: &str, own: &Listing) -> Result<Line> {
        let (text, in_background) = match text.trim_end().strip_suffix(" &") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut words = shlex::split(text)
            .with_context(|| format!("a quotation mark in {text:?} is not closed"))?;
        ensure!(!words.is_empty(), "a program is missing: {text:?}");
        let program = words.remove(0);
        let (listing, program) = match program.split_once('/') {
            Some((listing, program)) => (Some(listing.to_owned()), program.to_owned()),
            None if self.recorded.is_some() && !own.programs.contains(&program) => (None, program),
            None => (Some(own.name.clone()), program),
        };
        Ok(Line {
            listing,
            program,
            arguments: words
                .iter()
                .map(|word| input::fill(word, &self.inputs))
                .collect(),
            in_background,
        })
    }
}

impl Cast {
    /// All of them, the scene's own one first.
    pub fn all(&self) -> impl Iterator<Item = &Listing> {
        std::iter::once(&self.listing).chain(&self.others)
    }

    /// Those of listings, in the scene's order: `echo/server`.
    pub fn programs(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| {
            let listing = line.listing.as_ref()?;
            Some(format!("{listing}/{}", line.program))
        })
    }

    /// The programs of `listing` that the scene needs.
    pub fn programs_of(&self, listing: &str) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |line| line.listing.as_deref() == Some(listing))
            .map(|line| line.program.as_str())
    }

    /// The programs that no listing has.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().filter(|line| line.listing.is_none());
        lines.map(|line| line.program.as_str())
    }
}

/// What all programs of a scene have in common.
struct Stage<'a> {
    scene: &'a Scene,
    /// It says where the programs are.
    job: &'a Job,
    cast: &'a Cast,
    /// Where the programs run; removed afterwards.
    folder: &'a Path,
    /// Who watches them.
    witness: Option<&'a Witness>,
    /// Who looks on.
    live: Option<&'a Live>,
}

impl Stage<'_> {
    fn play(&self, terminals: &mut Vec<Terminal>) -> Result<()> {
        let is_alone = self.job.alone.is_some();
        let lines = match is_alone {
            true => &self.cast.lines[..1],
            false => &self.cast.lines,
        };
        let documented = self.cast.listing.address;
        let reserved = match documented {
            Some(address) if self.scene.closed_port => Some(ClosedPort::reserve(address)?),
            _ => None,
        };
        let chosen = self.chosen();
        let elsewhere = reserved.as_ref().map(|port| port.address).or(chosen);
        // Where the listing's server really is, if not where it is documented to be.
        let mut moved_to = elsewhere.filter(|address| Some(*address) != documented);
        let last = lines.len() - 1;
        for (number, line) in lines.iter().enumerate() {
            let mut terminal = self.start(number, line, moved_to)?;
            let mut ready = self.wait_until_ready(&mut terminal, line, number == last, terminals);
            let is_server = last > 0 || is_alone;
            let taken = number == 0 && is_server && documented.is_some();
            if taken
                && terminal
                    .process
                    .status
                    .is_some_and(|status| !status.success())
            {
                // It could not listen where it is documented to: somebody else does. Any free port will do.
                let anywhere = SocketAddr::new([127, 0, 0, 1].into(), 0);
                moved_to = moved_to.filter(|_| reserved.is_some());
                terminal = self.start(number, line, Some(anywhere))?;
                ready = self.wait_until_ready(&mut terminal, line, number == last, terminals);
            }
            if moved_to.is_none() {
                let address = listening_on(&terminal.process);
                // A name like `localhost` may stand for another address; the port is what others look for.
                moved_to =
                    address.filter(|address| Some(address.port()) != documented.map(|a| a.port()));
            }
            terminals.push(terminal);
            ready?;
            if number < last {
                self.check_end(&terminals[number], 0)?;
            }
        }
        finish_lines(terminals)?;
        // Whoever ended by itself before the last one must have ended well.
        for terminal in &mut terminals[..last] {
            terminal.process.look()?;
            self.check_end(terminal, 0)?;
        }
        self.check_end(&terminals[last], self.scene.fails)
    }

    /// Where a reader wants the server, if they can choose.
    fn chosen(&self) -> Option<SocketAddr> {
        self.scene.inputs.iter().find_map(Input::address)
    }

    /// Where the server should be.
    fn wanted(&self) -> Option<SocketAddr> {
        self.chosen().or(self.cast.listing.address)
    }

    /// The arguments of a program; `address` is where the listing's server is, if not where it is documented to be.
    fn arguments(&self, line: &Line, address: Option<SocketAddr>) -> Vec<String> {
        let mut arguments = line.arguments.clone();
        if let (Some(address), Some(documented)) = (address, self.cast.listing.address) {
            let found = replace_port(&mut arguments, documented, address);
            if !found && line.listing.is_some() {
                put_first(&mut arguments, address);
            }
        }
        arguments
    }

    /// What a reader types to start a program.
    fn shown(&self, line: &Line, arguments: &[String]) -> Result<String> {
        let mut words = Vec::new();
        if let Some(listing) = &line.listing {
            words.extend(["cargo", "run", "-q"]);
            if self.job.purpose == Purpose::Recording {
                words.push("--release");
            }
            words.extend(["-p", listing, "--bin"]);
        }
        words.push(&line.program);
        if line.listing.is_some() && !arguments.is_empty() {
            words.push("--");
        }
        words.extend(arguments.iter().map(String::as_str));
        let words: Vec<String> = words.into_iter().map(quoted).collect::<Result<_>>()?;
        Ok(words.join(" "))
    }

    /// The command of the scene's second program, for a reader's own terminal: the server is at `address`, and files are where it is.
    fn talk(&self, address: SocketAddr) -> Result<Option<String>> {
        let Some(line) = self.cast.lines.get(1) else {
            return Ok(None);
        };
        let is_documented = Some(address) == self.cast.listing.address;
        let mut arguments = self.arguments(line, Some(address).filter(|_| !is_documented));
        for argument in &mut arguments {
            let file = self.folder.join(&*argument);
            if let (true, Some(file)) = (file.is_file(), file.to_str()) {
                *argument = file.into();
            }
        }
        Ok(Some(self.shown(line, &arguments)?))
    }

    /// Starts a program; `address` is where the listing's server is, if not where it is documented to be.
    fn start(&self, number: usize, line: &Line, address: Option<SocketAddr>) -> Result<Terminal> {
        let arguments = self.arguments(line, address);
        let path = match &line.listing {
            Some(listing) => {
                let folder = self.job.programs.get(listing);
                folder
                    .with_context(|| format!("{listing} has not been compiled"))?
                    .join(&line.program)
            }
            None => line.program.clone().into(),
        };
        let shown = self.shown(line, &arguments)?;
        let mut command = match self.witness {
            Some(witness) => witness.command(number, &path),
            None => process::command(&path),
        };
        command.args(&arguments).current_dir(self.folder);
        if let Some(live) = &self.live {
            // What it leaves behind is to go with the scene.
            command.env("TMPDIR", self.folder);
            live.say(&Event::Begin {
                terminal: number,
                command: shown.clone(),
            })?;
        }
        Ok(Terminal {
            command: shown,
            name: line.program.clone(),
            process: Process::start(
                command,
                match self.job.alone {
                    Some(_) => SERVER_OUTPUT_LIMIT,
                    None => OUTPUT_LIMIT,
                },
            )?,
        })
    }

    /// Waits until the next program can start: this one listens, or has ended, or has printed its first line and was to be left
    /// in the background. The last one is waited for until its end.
    fn wait_until_ready(
        &self,
        terminal: &mut Terminal,
        line: &Line,
        is_last: bool,
        others: &mut [Terminal],
    ) -> Result<()> {
        let deadline = self.scene.deadline(self.job.purpose);
        let failed = |what: String| anyhow!("`{}`: {what}", terminal.command);
        let mut idle = self.job.alone.map(Idle::new);
        let mut is_announced = false;
        loop {
            terminal
                .process
                .look()
                .map_err(|error| failed(format!("{error:#}")))?;
            say(self.live, others, Some(terminal))?;
            if terminal.process.has_ended() {
                return Ok(());
            }
            let address = listening_on(&terminal.process);
            if let (Some(idle), Some(live)) = (&mut idle, self.live) {
                if let (Some(address), false) = (address, is_announced) {
                    live.say(&Event::Listening {
                        terminal: others.len(),
                        address,
                        moved_from: self
                            .wanted()
                            .filter(|wanted| wanted.port() != address.port()),
                        talk: self.talk(address)?,
                        folder: self.folder.into(),
                    })?;
                    is_announced = true;
                }
                idle.check(&terminal.process)
                    .map_err(|error| failed(format!("{error:#}")))?;
            } else if !is_last {
                let background = line.in_background && first_line(&terminal.process).is_some();
                if background || address.is_some() {
                    return Ok(());
                }
            }
            let is_late = terminal.process.started.elapsed() > Duration::from_secs(deadline);
            if is_late && !is_announced {
                let missing = match (is_last && idle.is_none(), line.in_background) {
                    (true, _) => "it did not end",
                    (false, true) => "it neither printed a line nor ended",
                    (false, false) => "it neither said `listening on …` nor ended",
                };
                bail!(failed(format!("{missing} within {deadline} s")));
            }
            for other in &mut *others {
                let command = other.command.clone();
                other
                    .process
                    .look()
                    .with_context(|| format!("`{command}`"))?;
            }
            let processes = others.iter().map(|other| &other.process);
            process::wait(processes.chain([&terminal.process]))?;
        }
    }

    fn check_end(&self, terminal: &Terminal, expected: i32) -> Result<()> {
        let status = terminal.process.status;
        if self.live.is_some() {
            let limit = status.and_then(limits::met);
            return limit.map_or(Ok(()), |limit| bail!("`{}`: {limit}", terminal.command));
        }
        match status.and_then(|status| process::complaint(status, expected)) {
            Some(complaint) => bail!("`{}`: {complaint}", terminal.command),
            None => Ok(()),
        }
    }
}

/// Tells who looks on what is new.
fn say(live: Option<&Live>, terminals: &[Terminal], last: Option<&Terminal>) -> Result<()> {
    let Some(live) = live else {
        return Ok(());
    };
    let mut all = terminals.iter().chain(last).enumerate();
    all.try_for_each(|(number, terminal)| live.look(number, &terminal.process))
}

/// Lets programs that are in the middle of a line, in a server's log, say, come to its end.
fn finish_lines(terminals: &mut [Terminal]) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < LINE {
        for terminal in &mut *terminals {
            terminal.process.look()?;
        }
        if !terminals
            .iter()
            .any(|terminal| terminal.process.is_in_a_line())
        {
            break;
        }
        process::wait(terminals.iter().map(|terminal| &terminal.process))?;
    }
    Ok(())
}

/// The first line that a program has printed on stdout, once it is complete.
fn first_line(process: &Process) -> Option<String> {
    let stdout = process.stdout();
    let end = stdout.iter().position(|byte| *byte == b'\n')?;
    Some(String::from_utf8_lossy(&stdout[..end]).into_owned())
}

/// Where a program has said that it listens.
fn listening_on(process: &Process) -> Option<SocketAddr> {
    first_line(process)?
        .strip_prefix(LISTENING)?
        .trim()
        .parse()
        .ok()
}

/// A word as a shell must read it. Where single quotes do, it is legible in them: nothing else is special there.
fn quoted(word: &str) -> Result<String> {
    let quoted = shlex::try_quote(word)?;
    Ok(match quoted == word || word.contains('\'') {
        true => quoted.into_owned(),
        false => format!("'{word}'"),
    })
}

/// Changes the arguments of a program so that it uses the port of `address` where it would use the `documented` one. A scheme may stand
/// before the host, and a path behind the port. Says whether there was any.
fn replace_port(arguments: &mut [String], documented: SocketAddr, address: SocketAddr) -> bool {
    let mut found = false;
    for argument in arguments {
        let host = argument.find("://").map_or(0, |position| position + 3);
        let path = argument[host..]
            .find('/')
            .map_or(argument.len(), |position| host + position);
        let (authority, path) = argument.split_at(path);
        if let Some(host) = authority.strip_suffix(&format!(":{}", documented.port())) {
            *argument = format!("{host}:{}{path}", address.port());
            found = true;
        }
    }
    found
}

/// Gives a listing's program, all of which take an address as their first argument, this one unless it has one.
fn put_first(arguments: &mut Vec<String>, address: SocketAddr) {
    let has_address = arguments
        .first()
        .is_some_and(|first| first.parse::<SocketAddr>().is_ok());
    if !has_address {
        arguments.insert(0, address.to_string());
    }
}
