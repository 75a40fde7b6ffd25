//! Rows under a header, as a table for people, CSV or JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    Table,
    /// Comma separated, with a header
    Csv,
    /// A list of objects
    Json,
}

/// Rows under a header. An empty cell is nothing: `null` in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sheet {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// A line that people read under the table, and machines do not.
    pub(super) note: Option<String>,
}

impl Sheet {
    /// All of it, as text that ends its last line.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    fn table(&self) -> String {
        let count = |text: &str| text.chars().count();
        let width = |index: usize, name: &str| {
            let cells = self.rows.iter().map(|row| count(&row[index]));
            cells.chain([count(name)]).max().unwrap_or_default()
        };
        let widths: Vec<_> = self.columns.iter().enumerate().map(|(at, name)| width(at, name)).collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut padded = String::new();
            for (cell, width) in cells.zip(&widths) {
                padded += cell;
                padded.extend(std::iter::repeat_n(' ', width + 2 - count(cell)));
            }
            text += padded.trim_end();
            text.push('\n');
        };
        line(&mut self.columns.iter().copied());
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str));
        }
        if let Some(note) = &self.note {
            let _ = writeln!(text, "\n{note}");
        }
        text
    }

    fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect::<Vec<_>>());
        for row in std::iter::once(self.columns.clone()).chain(rows) {
            writer.write_record(row).expect("every row has a cell per column, and memory takes all");
        }
        let bytes = writer.into_inner().expect("memory takes all");
        String::from_utf8(bytes).expect("what was written is text")
    }

    fn json(&self) -> String {
        let object = |row: &Vec<String>| {
            let cells = self.columns.iter().zip(row).map(|(column, cell)| {
                let value = if cell.is_empty() { Value::Null } else { Value::from(cell.as_str()) };
                ((*column).to_owned(), value)
            });
            Value::Object(cells.collect::<Map<_, _>>())
        };
        let rows: Vec<_> = self.rows.iter().map(object).collect();
        serde_json::to_string_pretty(&rows).expect("text is JSON") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_machines_get_every_cell() {
        let sheet = Sheet {
            columns: vec!["date", "name"],
            rows: vec![vec!["2026-11-27".into(), "a, b".into()], vec!["x".into(), String::new()]],
            note: Some("two".into()),
        };
        assert_eq!(sheet.text(Format::Table), "date        name\n2026-11-27  a, b\nx\n\ntwo\n");
        assert_eq!(sheet.text(Format::Csv), "date,name\n2026-11-27,\"a, b\"\nx,\n");
        let json: Value = serde_json::from_str(&sheet.text(Format::Json)).unwrap();
        assert_eq!(json[1], serde_json::json!({ "date": "x", "name": null }));
    }
}
