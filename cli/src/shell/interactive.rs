//! The shell for a person: editing, history, completion.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use reedline::{
    ColumnarMenu, DefaultCompleter, EditCommand, Emacs, FileBackedHistory, KeyCode, KeyModifiers,
    MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, ValidationResult, Validator, default_emacs_keybindings,
};
use tokio::runtime::Runtime;

use super::highlight::SqlHighlighter;
use super::keywords::KEYWORDS;
use super::{Settings, meta, run_statement, split};
use crate::client::Client;

const HISTORY_MAX: usize = 10_000;
const MENU: &str = "completion";

/// Reads and runs statements until the person has had enough.
pub(crate) fn run(
    runtime: &Runtime,
    mut client: Client,
    mut settings: Settings,
) -> anyhow::Result<ExitCode> {
    eprintln!("Connected to {} (server {}). \\? for help.", client.database, client.version);
    let mut editor = editor();
    let mut data_editor = data_editor();
    loop {
        let prompt = ShellPrompt { database: client.database.clone(), status: client.status };
        let text = match editor.read_line(&prompt)? {
            Signal::Success(text) => text,
            Signal::CtrlC => continue,
            Signal::CtrlD => return Ok(ExitCode::SUCCESS),
            _ => continue,
        };
        if let Some(line) = text.trim_start().strip_prefix('\\') {
            match meta::parse(line) {
                meta::Meta::Quit => return Ok(ExitCode::SUCCESS),
                command => {
                    meta::run(runtime, &mut client, &mut settings, command)?;
                }
            }
            continue;
        }
        let mut rest = text.as_str();
        while let Some(end) = split::end_of_statement(rest) {
            let (statement, after) = rest.split_at(end);
            rest = after;
            let data = typed_data(&mut data_editor);
            if !run_statement(runtime, &mut client, &settings, statement.trim(), data)? {
                break;
            }
        }
    }
}

/// The data of a COPY, as a person types or pastes them. Ctrl-C gives the COPY up.
fn typed_data(editor: &mut Reedline) -> impl FnMut() -> anyhow::Result<Option<String>> {
    let mut is_begun = false;
    // A paste may be many lines.
    let mut lines = VecDeque::new();
    move || {
        if !is_begun {
            eprintln!(
                "The data, a row a line, and \\. on a line of its own (or Ctrl-D) at the end; Ctrl-C \
                 gives up:"
            );
            is_begun = true;
        }
        while lines.is_empty() {
            match editor.read_line(&DataPrompt)? {
                Signal::Success(text) => lines.extend(text.split('\n').map(str::to_owned)),
                Signal::CtrlD => return Ok(None),
                _ => bail!("canceled by user"),
            }
        }
        let line = lines.pop_front().unwrap_or_default();
        let is_over = line.trim_end_matches('\r') == "\\.";
        Ok((!is_over).then(|| line + "\n"))
    }
}

/// Before each line of a COPY's data, as in psql.
struct DataPrompt;

impl Prompt for DataPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(">> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(">> ")
    }

    fn render_prompt_history_search_indicator(&self, _: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Borrowed(">> ")
    }
}

fn editor() -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = ReedlineEvent::UntilFound(vec![
        ReedlineEvent::Menu(MENU.to_owned()),
        ReedlineEvent::MenuNext,
    ]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    let mut completer = DefaultCompleter::new_with_wordlen(Vec::new(), 2);
    completer.insert(KEYWORDS.iter().map(|word| (*word).to_owned()).collect());
    completer.insert(KEYWORDS.iter().map(|word| word.to_lowercase()).collect());
    let editor = Reedline::create()
        .with_validator(Box::new(WholeStatement))
        .with_highlighter(Box::new(SqlHighlighter))
        .with_completer(Box::new(completer))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU))))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    match history_file().and_then(|path| FileBackedHistory::with_file(HISTORY_MAX, path).ok()) {
        Some(history) => editor.with_history(Box::new(history)),
        None => editor,
    }
}

/// Of a COPY's data, where Tab is what stands between two values, typed or pasted.
fn data_editor() -> Reedline {
    let mut keys = default_emacs_keybindings();
    let tab = ReedlineEvent::Edit(vec![EditCommand::InsertChar('\t')]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, tab);
    Reedline::create().with_edit_mode(Box::new(Emacs::new(keys))).use_bracketed_paste(true)
}

fn history_file() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".meridian_history"))
}

/// Enter ends the input when a statement, or a command of the shell, does.
struct WholeStatement;

impl Validator for WholeStatement {
    fn validate(&self, text: &str) -> ValidationResult {
        if text.trim_start().starts_with('\\') || split::is_blank(text) {
            return ValidationResult::Complete;
        }
        match split::is_blank(&text[split::end_of_last(text)..]) {
            true => ValidationResult::Complete,
            false => ValidationResult::Incomplete,
        }
    }
}

/// The database, and the state of the transaction: `=` none, `*` open, `!` failed.
struct ShellPrompt {
    database: String,
    status: u8,
}

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.database)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(match self.status {
            b'T' => "*> ",
            b'E' => "!> ",
            _ => "=> ",
        })
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("-> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}
