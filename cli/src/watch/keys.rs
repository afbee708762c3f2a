//! What a key means.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::team::heal::What;

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    Quit,
    Restore(What),
    See(See),
}

/// Something else is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum See {
    Above,
    Below,
    /// Who reaches whom instead of what happened, and back.
    Matrix,
    /// Whether the chosen fault is to be restored.
    AskOne,
    /// Whether everything is to be restored.
    AskAll,
    /// No more question.
    Nothing,
    /// The terminal has another size.
    Again,
}

/// With the question that waits for an answer.
pub fn action(event: &Event, asks: Option<&What>) -> Option<Action> {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Resize(..) => return Some(Action::See(See::Again)),
        Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => {
            return None;
        }
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    if let Some(what) = asks {
        return Some(match key.code {
            KeyCode::Char('y') => Action::Restore(what.clone()),
            _ => Action::See(See::Nothing),
        });
    }
    let see = match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Quit),
        KeyCode::Up | KeyCode::Char('k') => See::Above,
        KeyCode::Down | KeyCode::Char('j') => See::Below,
        KeyCode::Char('m') => See::Matrix,
        KeyCode::Char('r') => See::AskOne,
        KeyCode::Char('R') => See::AskAll,
        _ => return None,
    };
    Some(Action::See(see))
}

/// `everything`, or the name of a fault.
pub fn words(what: &What) -> String {
    match what {
        What::All => "everything".to_owned(),
        What::Ids(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
