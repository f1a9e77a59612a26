//! The beginning of a connection: encryption refused, version agreed on, session opened.

use sql::error::{SqlError, SqlState};
use sql::session::TxnStatus;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;

use super::{End, Server, violation};
use crate::pg::cancel::{KEY_BYTES, LONG_KEY_BYTES, Registration};
use crate::pg::codec::backend;
use crate::pg::codec::startup::{MINOR_MAX, StartupPacket, decode};
use crate::pg::session::{PgSession, SessionFactory, Startup};
use crate::pg::wire::Wire;

type Welcomed<S> = (S, Registration, OwnedSemaphorePermit);

impl<F: SessionFactory> Server<F> {
    /// Everything up to the first ReadyForQuery. `None` if the client did not want a session.
    pub(super) async fn welcome<T>(
        &self,
        wire: &mut Wire<T>,
    ) -> Result<Option<Welcomed<F::Session>>, End>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some((minor, parameters)) = self.first_packet(wire).await? else { return Ok(None) };
        let unknown: Vec<&str> = parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with("_pq_."))
            .collect();
        let agreed = if minor >= MINOR_MAX { MINOR_MAX } else { 0 };
        if agreed != minor || !unknown.is_empty() {
            backend::negotiate_protocol_version(&mut wire.writer.out, agreed, &unknown);
        }
        let mut startup = read_parameters(&parameters).map_err(End::Fatal)?;
        let Ok(permit) = self.sessions.clone().try_acquire_owned() else {
            // too_many_connections
            let error = SqlError::new(SqlState("53300"), "sorry, too many clients already");
            return Err(End::Fatal(error));
        };
        let key_bytes = if agreed >= 2 { LONG_KEY_BYTES } else { KEY_BYTES };
        let registration = self.cancels.register(key_bytes);
        startup.number = registration.pid;
        let session = self.factory.open(startup).await.map_err(End::Fatal)?;
        let out = &mut wire.writer.out;
        backend::authentication_ok(out);
        for (name, value) in session.parameters() {
            backend::parameter_status(out, &name, &value);
        }
        backend::backend_key_data(out, registration.pid, &registration.key);
        backend::ready_for_query(out, TxnStatus::Idle);
        wire.writer.flush().await;
        Ok(Some((session, registration, permit)))
    }

    /// The packet that asks for a session, after any that ask for encryption.
    async fn first_packet<T>(
        &self,
        wire: &mut Wire<T>,
    ) -> Result<Option<(u16, Vec<(String, String)>)>, End>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (mut asked_ssl, mut asked_gssenc) = (false, false);
        loop {
            let Some(body) = wire.reader.startup().await? else { return Ok(None) };
            match decode(body).map_err(End::Fatal)? {
                StartupPacket::Ssl if !asked_ssl => asked_ssl = true,
                StartupPacket::GssEnc if !asked_gssenc => asked_gssenc = true,
                StartupPacket::Ssl | StartupPacket::GssEnc => {
                    return Err(End::Fatal(violation("encryption was asked for twice")));
                }
                StartupPacket::Cancel { pid, key } => {
                    self.cancels.request(pid, &key);
                    return Ok(None);
                }
                StartupPacket::Session { minor, parameters } => {
                    return Ok(Some((minor, parameters)));
                }
            }
            // One byte, and no message around it: no encryption here.
            wire.writer.out.extend_from_slice(b"N");
            wire.writer.flush().await;
        }
    }
}

fn read_parameters(parameters: &[(String, String)]) -> Result<Startup, SqlError> {
    let mut startup = Startup::default();
    let mut settings = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" => startup.user.clone_from(value),
            "database" => startup.database = Some(value.clone()).filter(|name| !name.is_empty()),
            "options" => startup.settings.extend(read_options(value)?),
            "replication" if is_off(value) => {}
            "replication" => return Err(SqlError::unsupported("the replication protocol")),
            name if name.starts_with("_pq_.") => {}
            name => settings.push((name.to_owned(), value.clone())),
        }
    }
    startup.settings.append(&mut settings);
    if startup.user.is_empty() {
        let what = "no PostgreSQL user name specified in startup packet";
        return Err(SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, what));
    }
    Ok(startup)
}

fn is_off(value: &str) -> bool {
    ["false", "off", "no", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// Settings of a command line, as `options` has them: `-c name=value` or `--name=value`; a backslash takes the next
/// character as it is.
fn read_options(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(rest) => Some(rest.to_owned()),
            None => None,
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair else {
            let what = format!("invalid command-line argument for server process: {word}");
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, what));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut within) = (Vec::new(), String::new(), false);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char.is_ascii_whitespace() {
            if std::mem::take(&mut within) {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        within = true;
        let literal = if char == '\\' { chars.next() } else { Some(char) };
        word.extend(literal);
    }
    if within {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_command_line() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let options = r"-c search_path=a\ b --statement-timeout=5  -cx=\\y";
        assert_eq!(
            read_options(options),
            Ok(vec![pair("search_path", "a b"), pair("statement_timeout", "5"), pair("x", r"\y")])
        );
        for bad in ["-c", "-c x", "x=y", "--x"] {
            assert!(read_options(bad).is_err(), "{bad}");
        }
    }
}
