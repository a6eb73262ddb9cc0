//! Tables and paragraphs for people.

/// Columns aligned by their widest cell, the first row is the head. A column is right-aligned if all its cells below the head
/// begin with a digit or are a dash.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let numeric = |column: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| {
                row.get(column)
                    .is_some_and(|cell| cell == "-" || is_number(cell))
            })
    };
    let right: Vec<bool> = (0..head.len()).map(numeric).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(head.iter().map(|cell| (*cell).to_owned()).collect())
            .chain(rows)
            .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            all.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in &all {
        let mut line = String::new();
        for ((column, cell), width) in row.iter().enumerate().zip(&widths) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column > 0 {
                line.push_str("  ");
            }
            if right.get(column).copied().unwrap_or(false) {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit())
        && !cell.starts_with("0x")
        && cell
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' ' | b'%'))
}

/// A list of names and values, the values under each other.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:<width$}  {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_each_other() {
        let rows = vec![
            vec!["a".to_owned(), "1.5".to_owned(), "0x12".to_owned()],
            vec!["bb".to_owned(), "-".to_owned(), "0x1".to_owned()],
        ];
        assert_eq!(
            table(&["name", "ETH", "id"], rows),
            "name  ETH  id\na     1.5  0x12\nbb      -  0x1\n"
        );
        assert_eq!(table(&["name"], Vec::new()), "name\n");
        assert_eq!(
            pairs(&[("a", "1".to_owned()), ("long", "2".to_owned())]),
            "a     1\nlong  2\n"
        );
    }
}
