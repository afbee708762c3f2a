//! Every link of a page to another, or to a heading, leads somewhere.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::page::{Page, top};

/// README.md, and all pages below docs/.
pub fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned(), "tests/vm/README.md".to_owned()];
    let mut dirs = vec![PathBuf::from("docs")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(top().join(&dir)).unwrap().flatten() {
            let path = dir.join(entry.file_name());
            if entry.path().is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.display().to_string());
            }
        }
    }
    pages
}

/// What GitHub makes of headings: letters, digits, `-` and `_` of it in lower case, with `-` for spaces; a second one of a name is
/// `name-1`.
fn anchors(page: &Page) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect::<String>();
        let before = seen.entry(kept.clone()).or_default();
        *before += 1;
        if *before == 1 { kept } else { format!("{kept}-{}", *before - 1) }
    };
    page.sections.iter().map(|section| section.heading.as_str()).map(anchor).collect()
}

/// Without `..` and `.`, from the top.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

#[test]
fn every_link_leads_somewhere() {
    let pages =
        pages().into_iter().map(|path| (PathBuf::from(&path), Page::read(&path))).collect::<BTreeMap<_, _>>();
    let (mut wrong, mut followed) = (Vec::new(), 0);
    for (path, page) in &pages {
        for (link, line) in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { path.clone() } else { plain(&path.parent().unwrap().join(file)) };
            let leads = match (anchor, pages.get(&file)) {
                (None, _) => top().join(&file).exists(),
                (Some(anchor), Some(page)) => anchors(page).iter().any(|other| other == anchor),
                (Some(_), None) => false,
            };
            if !leads {
                wrong.push(format!("{}:{line}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these links lead nowhere:\n{}", wrong.join("\n"));
    assert!(followed > 200, "only {followed} links were found");
}
