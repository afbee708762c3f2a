//! A table of the report on the page.

use maud::{Markup, html};

use super::super::tables::{Cell, Table};

/// From so many letters on a text gets more room.
const LONG: usize = 40;

/// With its heading, which is of this level. `id` is this table's alone on its page.
pub fn section(level: u8, table: &Table, id: &str) -> Markup {
    html! {
        @if level == 2 { h2 id=(id) { (table.caption) } } @else { h3 id=(id) { (table.caption) } }
        div.scroll tabindex="0" role="region" aria-labelledby=(id) {
            table aria-labelledby=(id) {
                thead {
                    tr {
                        @for (column, name) in table.head.iter().enumerate() {
                            th scope="col" class=[table.is_number(column).then_some("n")] { (name) }
                        }
                    }
                }
                tbody { @for row in &table.rows { (line(table, row)) } }
            }
        }
        @if !table.legend.is_empty() { p.legend { (table.legend) } }
    }
}

fn line(table: &Table, row: &[Cell]) -> Markup {
    html! {
        tr {
            @for (column, cell) in row.iter().enumerate() {
                @if column == 0 {
                    th scope="row" class=(class(table, column, cell)) { (show(cell)) }
                } @else {
                    td class=(class(table, column, cell)) { (show(cell)) }
                }
            }
        }
    }
}

fn class(table: &Table, column: usize, cell: &Cell) -> &'static str {
    let is_long = || {
        table.rows.iter().filter_map(|row| row.get(column)).any(|cell| match cell {
            Cell::Text(text) | Cell::Code(text) => text.chars().count() > LONG,
            Cell::Number(_) | Cell::Met(_) | Cell::Reach(..) => false,
        })
    };
    match cell {
        Cell::Text(_) | Cell::Code(_) if is_long() => "t long",
        Cell::Text(_) | Cell::Code(_) => "t",
        Cell::Number(_) => "n",
        Cell::Met(_) => "",
        Cell::Reach(_, Some(false)) => "reach no",
        Cell::Reach(_, Some(true) | None) => "reach",
    }
}

pub fn show(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Text(text) | Cell::Number(text) => { (text) }
            Cell::Code(text) => { @if !text.is_empty() { code { (text) } } }
            Cell::Met(Some(true)) => { span.yes { "☑ Pass" } " ☐ Fail" }
            Cell::Met(Some(false)) => { "☐ Pass " span.no { "☑ Fail" } }
            Cell::Met(None) => { "–" }
            Cell::Reach(text, expected) => { @if *expected == Some(false) { "! " } (text) }
        }
    }
}
