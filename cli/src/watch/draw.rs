//! The picture on a terminal. Nothing is told by a colour alone.

use std::time::Duration;

use partition_agent_proto::{EventKind, State, Verdict};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Wrap};

use super::keys;
use super::picture::{Happened, Picture, Standing};
use crate::render::{remaining, visible};

/// Hosts that do not answer are named, so many of them.
const NAMED: usize = 3;

/// No column has more: what the kernel has refused would leave no room for the others. `status` has all of it.
const WIDEST: usize = 28;

/// On a terminal with fewer rows there are only the faults.
const LOW: u16 = 12;

pub fn draw(frame: &mut Frame<'_>, picture: &mut Picture, now: Duration) {
    let silent = silent(picture);
    let below = if frame.area().height < LOW { Constraint::Length(0) } else { Constraint::Fill(1) };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(u16::try_from(silent.len()).unwrap_or_default()),
        Constraint::Fill(1),
        below,
        Constraint::Length(1),
    ];
    let [head, quiet, faults, happened, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(headline(picture), head);
    frame.render_widget(Paragraph::new(silent), quiet);
    draw_faults(frame, picture, now, faults);
    if picture.shows_matrix() {
        draw_matrix(frame, picture, happened);
    } else {
        draw_happened(frame, picture, now, happened);
    }
    frame.render_widget(footline(picture), foot);
}

fn headline(picture: &Picture) -> Line<'static> {
    let hosts = match picture.hosts.as_slice() {
        [host] => visible(&host.name),
        hosts => format!("{} hosts", hosts.len()),
    };
    let unheard = picture.hosts.iter().filter(|host| host.told_at.is_none()).count();
    let (faults, style) = match picture.in_force() {
        0 if unheard > 0 && unheard == picture.hosts.len() => ("not heard yet".to_owned(), Style::new()),
        0 if unheard > 0 => (format!("no faults, but {unheard} not heard yet"), Style::new()),
        0 => ("no faults".to_owned(), Style::new().fg(Color::Green)),
        1 => ("1 fault".to_owned(), alarm()),
        more => (format!("{more} faults"), alarm()),
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![Span::styled(format!("partition-agent  {hosts}  "), bold), Span::styled(faults, style)])
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn silent(picture: &Picture) -> Vec<Line<'static>> {
    let silent = picture.hosts.iter().filter_map(|host| Some((host, host.silent.as_ref()?)));
    let silent = silent.collect::<Vec<_>>();
    let named = silent.iter().take(NAMED);
    let mut lines = named
        .map(|(host, why)| {
            let ends = if host.faults.is_empty() { "" } else { "; its kernel ends its faults in time" };
            Line::styled(
                format!("! {} does not answer: {}{ends}", visible(&host.name), visible(why)),
                alarm(),
            )
        })
        .collect::<Vec<_>>();
    if silent.len() > NAMED {
        lines.push(Line::styled(format!("! and {} more", silent.len() - NAMED), alarm()));
    }
    lines
}

fn draw_faults(frame: &mut Frame<'_>, picture: &mut Picture, now: Duration, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title(" Faults ");
    let standing = picture.standing(now);
    if standing.is_empty() {
        let heard = picture.hosts.iter().all(|host| host.told_at.is_some());
        let text = if heard { "no faults" } else { "" };
        return frame.render_widget(Paragraph::new(text).alignment(Alignment::Center).block(block), area);
    }
    let several = picture.hosts.len() > 1;
    let cells = standing.iter().map(|standing| cells(standing, several)).collect::<Vec<_>>();
    let head = if several { &HEAD[..] } else { &HEAD[1..] };
    let mut widths = head.iter().map(|cell| cell.len()).collect::<Vec<_>>();
    for row in &cells {
        for (width, (cell, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(WIDEST);
        }
    }
    let mut constraints = widths
        .iter()
        .map(|width| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)))
        .collect::<Vec<_>>();
    // What it does is the longest, and has what is left.
    if let Some(last) = constraints.last_mut() {
        *last = Constraint::Fill(1);
    }
    let rows = cells.into_iter().map(|row| {
        Row::new(row.into_iter().map(|(text, style)| Cell::new(text).style(style)).collect::<Vec<_>>())
    });
    let head = Row::new(head.to_vec()).style(Style::new().add_modifier(Modifier::DIM));
    let table = Table::new(rows.collect::<Vec<_>>(), constraints)
        .header(head)
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(block);
    let last = standing.len() - 1;
    let chosen = picture.chosen.selected().unwrap_or_default().min(last);
    picture.chosen.select(Some(chosen));
    frame.render_stateful_widget(table, area, &mut picture.chosen);
}

const HEAD: [&str; 7] = ["HOST", "ID", "STATE", "LEFT", "HITS", "VERDICT", "FAULT"];

fn cells(standing: &Standing<'_>, with_host: bool) -> Vec<(String, Style)> {
    let Standing { host, fault, left } = standing;
    let plain = Style::new();
    let state = match fault.state {
        State::Active | State::Stuck => alarm(),
        State::Pending | State::Prepared | State::Waiting | State::Restoring => plain.fg(Color::Yellow),
        State::Restored => plain,
    };
    let verdict = match fault.verdict {
        Verdict::Mismatch { .. } => alarm(),
        Verdict::Confirmed | Verdict::Inconclusive { .. } => plain,
    };
    let left = remaining(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    let host = with_host.then(|| (visible(&host.name), plain));
    let rest = [
        (fault.id.to_string(), plain),
        (fault.state.to_string(), state),
        (left, plain.add_modifier(Modifier::BOLD)),
        (fault.hits.to_string(), plain),
        (visible(&fault.verdict.to_string()), verdict),
        (visible(&fault.spec.to_string()), plain),
    ];
    host.into_iter().chain(rest).collect()
}

fn draw_happened(frame: &mut Frame<'_>, picture: &Picture, now: Duration, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title(" What happened ");
    let fits = usize::from(block.inner(area).height);
    // The newest first: that is where eyes are.
    let lines = picture.happened.iter().rev().take(fits).map(|happened| line(picture, happened, now));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn line(picture: &Picture, happened: &Happened, now: Duration) -> Line<'static> {
    let ago = now.saturating_sub(happened.at).as_secs();
    let host = happened.host.filter(|_| picture.hosts.len() > 1).and_then(|host| picture.hosts.get(host));
    let host = host.map(|host| format!("{}: ", visible(&host.name))).unwrap_or_default();
    let (kind, style) = match happened.kind {
        None => (String::new(), Style::new()),
        Some(kind) => (kind.to_string(), style_of(kind)),
    };
    Line::from(vec![
        Span::styled(format!("{:>8}  ", format!("{ago}s ago")), Style::new().add_modifier(Modifier::DIM)),
        Span::styled(format!("{kind:10}  "), style),
        Span::raw(format!("{host}{}", visible(&happened.text))),
    ])
}

fn style_of(kind: EventKind) -> Style {
    match kind {
        EventKind::Injected | EventKind::Started | EventKind::Failed => alarm(),
        EventKind::Ended | EventKind::Restored => Style::new().fg(Color::Green),
        EventKind::Prepared
        | EventKind::Committed
        | EventKind::Changed
        | EventKind::Followed
        | EventKind::Reattached => Style::new().fg(Color::Yellow),
    }
}

fn draw_matrix(frame: &mut Frame<'_>, picture: &Picture, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title(" Who reaches whom ");
    let text = match &picture.matrix {
        None => "asking every host ...",
        Some(Ok(text) | Err(text)) => text,
    };
    let text = text.lines().map(visible).collect::<Vec<_>>().join("\n");
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), area);
}

fn footline(picture: &Picture) -> Line<'static> {
    if let Some(what) = picture.asks() {
        return Line::styled(format!(" restore {}? y: yes, any other key: no", keys::words(what)), alarm());
    }
    let matrix = match (picture.is_fleet, picture.shows_matrix()) {
        (false, _) => "",
        (true, false) => "  m who reaches whom",
        (true, true) => "  m what happened",
    };
    Line::styled(
        format!(" ↑↓ choose  r restore it  R restore everything{matrix}  q quit"),
        Style::new().add_modifier(Modifier::DIM),
    )
}

#[cfg(test)]
mod tests;
