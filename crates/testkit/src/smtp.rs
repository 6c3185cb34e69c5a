//! A mail server on a socket of this machine that keeps what it is given, for tests.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A letter, as it came over the line.
#[derive(Debug, Clone)]
pub struct Received {
    /// Whom the client said it is from.
    pub from: String,
    /// Whom the client said it is to.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
}

impl Received {
    /// A header's text, unfolded; `""` where there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let prefix = format!("{name}: ");
        let found = head.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
        found.unwrap_or_default()
    }

    /// The body, without quoted-printable's marks.
    pub fn body(&self) -> String {
        let body = self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        match self.header("Content-Transfer-Encoding").as_str() {
            "quoted-printable" => {
                let whole = body.replace("=\r\n", "");
                let mut parts = whole.split('=');
                let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
                for part in parts {
                    let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
                    out.push(code.expect("quoted-printable"));
                    out.extend_from_slice(part.as_bytes().get(2..).expect("two digits"));
                }
                String::from_utf8(out).expect("UTF-8")
            }
            _ => body.to_owned(),
        }
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// Answers to come, instead of agreement: the command, and what it is told.
    refusals: VecDeque<(String, String)>,
    /// Who may send, as AUTH PLAIN says it; anybody where nobody is named.
    user: Option<String>,
    greeted_by: Vec<String>,
}

/// A mail server that ends with the test.
#[derive(Clone)]
pub struct MailServer {
    /// Its port on this machine.
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl MailServer {
    /// A server that takes letters from anybody.
    #[expect(clippy::disallowed_methods, reason = "its tasks end with the runtime of the test")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { port, state }
    }

    /// Takes letters from nobody but whoever shows these, by AUTH PLAIN.
    pub fn only_for(&self, user: &str, password: &str) {
        self.state.lock().user = Some(format!("\0{user}\0{password}"));
    }

    /// Answers the next such command (`RCPT`, `.` for the end of a letter) with this.
    pub fn refuse(&self, command: &str, answer: &str) {
        self.state.lock().refusals.push_back((command.to_owned(), answer.to_owned()));
    }

    /// What it was given.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// The names it was greeted by.
    pub fn greeted_by(&self) -> Vec<String> {
        self.state.lock().greeted_by.clone()
    }
}

/// The next refusal, where it is of this command.
fn refusal(state: &Mutex<State>, command: &str) -> Option<String> {
    let mut state = state.lock();
    let due = state.refusals.front().is_some_and(|(of, _)| of == command);
    due.then(|| state.refusals.pop_front()).flatten().map(|(_, answer)| answer)
}

/// Speaks with one client until it hangs up.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to, mut let_in) = (String::new(), Vec::new(), false);
    let mut say = "220 sink".to_owned();
    loop {
        if stream.write_all(format!("{say}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let command = command.to_ascii_uppercase();
        let address =
            || rest.split_once('<').and_then(|(_, a)| a.split_once('>')).map(|(a, _)| a.to_owned());
        let user = state.lock().user.clone();
        if let Some(answer) = refusal(&state, &command) {
            say = answer;
            continue;
        }
        say = match command.as_str() {
            "EHLO" => {
                state.lock().greeted_by.push(rest.to_owned());
                "250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN".to_owned()
            }
            "AUTH" => {
                let shown = rest.strip_prefix("PLAIN ").unwrap_or_default();
                let shown = data_encoding::BASE64.decode(shown.as_bytes()).unwrap_or_default();
                let_in = user.is_some_and(|user| user.as_bytes() == shown);
                if let_in { "235 welcome" } else { "535 who are you?" }.to_owned()
            }
            "MAIL" if user.is_some() && !let_in => "530 sign in first".to_owned(),
            "MAIL" => {
                from = address().unwrap_or_default();
                to.clear();
                "250 ok".to_owned()
            }
            "RCPT" => {
                to.extend(address());
                "250 ok".to_owned()
            }
            "DATA" => {
                if stream.write_all(b"354 go on\r\n").await.is_err() {
                    return;
                }
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n.\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => text.push(byte),
                        Err(_) => return,
                    }
                }
                text.truncate(text.len() - 5);
                let text = String::from_utf8(text).expect("UTF-8").replace("\r\n..", "\r\n.");
                match refusal(&state, ".") {
                    Some(answer) => answer,
                    None => {
                        let received = Received { from: from.clone(), to: to.clone(), text };
                        state.lock().received.push(received);
                        "250 taken".to_owned()
                    }
                }
            }
            "QUIT" => {
                let _ = stream.write_all(b"221 bye\r\n").await;
                return;
            }
            _ => "250 ok".to_owned(),
        };
    }
}
