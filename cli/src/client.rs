//! A client of the simple protocol, with `postgres-protocol`'s messages: the shell shows command tags, notices and every
//! field of an error, which a driver keeps to itself.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend::{self, CopyData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::{ChannelBinding, Config, Host, SslMode};

const DEFAULT_PORT: u16 = 26_257;
const DEFAULT_USER: &str = "root";
const DEFAULT_DATABASE: &str = "defaultdb";
/// How much of a COPY is sent at once.
const COPY_BYTES: usize = 64 << 10;

/// A column of a result.
pub(crate) struct Column {
    /// Its name.
    pub name: String,
    /// The oid of its type.
    pub oid: u32,
}

/// One step of what a statement gives.
pub(crate) enum Event {
    /// Rows with these columns follow.
    Columns(Vec<Column>),
    /// A row; `None` is NULL.
    Row(Vec<Option<String>>),
    /// A statement is done; its tag.
    Complete(String),
    /// Data of a COPY TO STDOUT.
    Copy(bytes::Bytes),
    /// A notice or a warning.
    Notice(Report),
}

/// What an error or a notice says.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub context: Option<String>,
    /// In characters from 1.
    pub position: Option<usize>,
}

/// Why a statement has no result.
pub(crate) enum Failure {
    /// The server says so.
    Sql(Report),
    /// The connection is of no use any more.
    Connection(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Connection(error.into())
    }
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    input: BytesMut,
    address: SocketAddr,
    key: (i32, i32),
    /// Who is connected to what, for the prompt.
    pub database: String,
    pub version: String,
    /// What the last ReadyForQuery said.
    pub status: u8,
}

impl Client {
    /// Connects to the first host of a URL that answers.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
        let config: Config = url.parse().with_context(|| format!("cannot read the URL {url}"))?;
        refuse_clear_text(&config)?;
        let ports = config.get_ports();
        let mut failure = anyhow!("the URL {url} names no host");
        for (index, host) in config.get_hosts().iter().enumerate() {
            let Host::Tcp(host) = host else {
                failure = anyhow!("sockets of the file system are not supported");
                continue;
            };
            let port = ports.get(index).or(ports.first()).copied();
            // The parser fills in PostgreSQL's port where the URL has none.
            let port = port.unwrap_or(DEFAULT_PORT);
            let name = format!("{host}:{port}");
            match TcpStream::connect((host.as_str(), port)).await {
                Ok(stream) => return Client::start(stream, &config).await,
                Err(error) => failure = anyhow!(error).context(format!("cannot connect to {name}")),
            }
        }
        Err(failure)
    }

    async fn start(stream: TcpStream, config: &Config) -> anyhow::Result<Client> {
        stream.set_nodelay(true)?;
        let user = config.get_user().unwrap_or(DEFAULT_USER);
        let database = config.get_dbname().unwrap_or(DEFAULT_DATABASE).to_owned();
        let application = config.get_application_name().unwrap_or("meridian sql");
        let mut parameters = vec![
            ("user", user),
            ("database", &database),
            ("application_name", application),
            ("client_encoding", "UTF8"),
        ];
        parameters.extend(config.get_options().map(|options| ("options", options)));
        let mut startup = BytesMut::new();
        frontend::startup_message(parameters, &mut startup)?;
        let mut client = Client {
            address: stream.peer_addr()?,
            stream,
            input: BytesMut::new(),
            key: (0, 0),
            database: database.clone(),
            version: String::new(),
            status: b'I',
        };
        client.stream.write_all(&startup).await?;
        loop {
            match client.message().await? {
                Message::AuthenticationOk | Message::NoticeResponse(_) => {}
                Message::ParameterStatus(body) => {
                    if body.name()? == "server_version" {
                        client.version = body.value()?.to_owned();
                    }
                }
                Message::BackendKeyData(body) => {
                    client.key = (body.process_id(), body.secret_key())
                }
                Message::ReadyForQuery(body) => {
                    client.status = body.status();
                    return Ok(client);
                }
                Message::ErrorResponse(body) => {
                    let report = report(body.fields())?;
                    bail!("{} (SQLSTATE {})", report.message, report.code);
                }
                _ => bail!("the server wants an authentication that this shell does not know"),
            }
        }
    }

    /// Runs the statements of a text. `data` gives the lines for a COPY FROM STDIN, and `None` after the last.
    pub(crate) async fn query(
        &mut self,
        text: &str,
        mut on_event: impl FnMut(Event) -> anyhow::Result<()>,
        mut data: impl FnMut() -> anyhow::Result<Option<String>>,
    ) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        frontend::query(text, &mut out)?;
        self.stream.write_all(&out).await?;
        let mut outcome = Ok(());
        loop {
            match self.message().await? {
                Message::RowDescription(body) => {
                    let fields = body.fields().map(|field| {
                        Ok(Column { name: field.name().to_owned(), oid: field.type_oid() })
                    });
                    on_event(Event::Columns(fields.collect()?))?;
                }
                Message::DataRow(body) => {
                    let buffer = body.buffer();
                    let values = body.ranges().map(|range| {
                        let text = |range: std::ops::Range<usize>| {
                            String::from_utf8_lossy(&buffer[range]).into_owned()
                        };
                        Ok(range.map(text))
                    });
                    on_event(Event::Row(values.collect()?))?;
                }
                Message::CommandComplete(body) => {
                    on_event(Event::Complete(body.tag()?.to_owned()))?;
                }
                Message::NoticeResponse(body) => {
                    on_event(Event::Notice(report(body.fields())?))?;
                }
                Message::ErrorResponse(body) => {
                    let report = report(body.fields())?;
                    if report.severity == "FATAL" {
                        let what = format!("{} (SQLSTATE {})", report.message, report.code);
                        return Err(Failure::Connection(anyhow!(what)));
                    }
                    outcome = Err(Failure::Sql(report));
                }
                Message::CopyInResponse(_) => self.copy_in(&mut data).await?,
                Message::CopyData(body) => on_event(Event::Copy(body.into_bytes()))?,
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return outcome;
                }
                _ => {}
            }
        }
    }

    /// Sends the lines of a COPY FROM STDIN.
    async fn copy_in(
        &mut self,
        mut data: impl FnMut() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        loop {
            match data() {
                Ok(Some(line)) => CopyData::new(line.as_bytes())?.write(&mut out),
                Ok(None) => {
                    frontend::copy_done(&mut out);
                    break;
                }
                Err(error) => {
                    frontend::copy_fail(&format!("{error:#}"), &mut out)?;
                    break;
                }
            }
            if out.len() > COPY_BYTES {
                self.stream.write_all_buf(&mut out).await?;
            }
        }
        Ok(self.stream.write_all_buf(&mut out).await?)
    }

    /// What cancels the running statement, from elsewhere.
    pub(crate) fn canceller(&self) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let (address, key) = (self.address, self.key);
        async move {
            let mut stream = TcpStream::connect(address).await?;
            let mut out = BytesMut::new();
            frontend::cancel_request(key.0, key.1, &mut out);
            stream.write_all(&out).await?;
            // The server has read it when it closes.
            let _ = stream.read(&mut [0]).await?;
            Ok(())
        }
    }

    async fn message(&mut self) -> anyhow::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            self.input.reserve(16 << 10);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the server has closed the connection");
            }
        }
    }
}

/// The shell knows no TLS yet: who insists on it is not served without.
fn refuse_clear_text(config: &Config) -> anyhow::Result<()> {
    let wanted = match (config.get_ssl_mode(), config.get_channel_binding()) {
        (SslMode::Disable | SslMode::Prefer, ChannelBinding::Disable | ChannelBinding::Prefer) => {
            return Ok(());
        }
        (SslMode::Require, _) => "sslmode=require",
        (_, ChannelBinding::Require) => "channel_binding=require",
        _ => "an encryption that it does not know",
    };
    bail!("the URL asks for {wanted}, and this shell has no TLS: nothing was sent in the clear")
}

fn report(mut fields: ErrorFields<'_>) -> anyhow::Result<Report> {
    let mut report = Report::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'S' => report.severity = value,
            b'C' => report.code = value,
            b'M' => report.message = value,
            b'D' => report.detail = Some(value),
            b'H' => report.hint = Some(value),
            b'W' => report.context = Some(value),
            b'P' => report.position = value.parse().ok(),
            _ => {}
        }
    }
    Ok(report)
}
