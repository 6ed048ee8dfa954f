//! Circles of modules within a crate: files that use each other, directly or through others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Crates that still have circles, with the number of files in them. Numbers here only go down.
const KNOWN: [(&str, usize); 8] = [
    ("dateline", 38),
    ("dateline-access", 5),
    ("dateline-client", 7),
    ("dateline-engine", 11),
    ("dateline-formats", 32),
    ("dateline-feed", 6),
    ("dateline-generate", 5),
    ("dateline-store", 23),
];

/// Absolute paths within the crate, by the name that they get in a file.
type Imports = Vec<(String, Vec<String>)>;

/// A module and what its file imports.
#[derive(Debug, Default)]
struct Module {
    code: String,
    imports: Imports,
}

/// The modules of a crate by their path; the root is the empty path.
type Modules = BTreeMap<Vec<String>, Module>;

/// Code without comments, and without the unit tests at the end.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn read_modules(directory: &Path, path: &[String], modules: &mut Modules) {
    for entry in fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut module = path.to_vec();
        if file.is_dir() {
            module.push(name);
            read_modules(&file, &module, modules);
        } else if file.extension().is_some_and(|it| it == "rs") && !name.ends_with("_tests") {
            if !matches!(name.as_str(), "mod" | "lib" | "main") {
                module.push(name);
            }
            let found = modules.entry(module).or_default();
            found.code += &code(&fs::read_to_string(&file).unwrap());
        }
    }
}

/// Expands a tree such as `a::{b, c::{self, D as E}}` to paths, each with the name that it gets.
fn expand(tree: &str, prefix: &[String], paths: &mut Imports) {
    let tree = tree.trim();
    if let Some(list) = tree.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in list.char_indices().chain([(list.len(), ',')]) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&list[start..at], prefix, paths);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if let Some((first, rest)) = tree.split_once("::") {
        let mut prefix = prefix.to_vec();
        prefix.push(first.trim().to_owned());
        expand(rest, &prefix, paths);
    } else if !tree.is_empty() {
        let (last, name) = tree.split_once(" as ").unwrap_or((tree, tree));
        let mut path = prefix.to_vec();
        if last.trim() != "self" {
            path.push(last.trim().to_owned());
        }
        let name = if name.trim() == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            name.trim().to_owned()
        };
        paths.push((name, path));
    }
}

/// Returns a path as seen from the root of the crate; `None` if it leads to another crate.
fn absolute(path: &[String], module: &[String], modules: &Modules) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {}
        child => {
            base.push(child.to_owned());
            modules.get(&base)?;
            base.pop();
        }
    }
    while rest.first().is_some_and(|it| it == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// Returns the module of the file that defines what a path names, behind re-exports.
fn definer(path: &[String], modules: &Modules) -> Vec<String> {
    let mut module = path.to_vec();
    while !modules.contains_key(&module) {
        module.pop();
    }
    if let Some(name) = path.get(module.len()) {
        let imports = modules.get(&module).map(|it| &it.imports);
        let behind = imports.and_then(|it| it.iter().find(|(known, _)| known == name));
        if let Some((_, behind)) = behind.filter(|(_, behind)| behind != path) {
            return definer(behind, modules);
        }
    }
    module
}

/// The letters of a path that begins at this place, such as `super::metrics::limit_hit`.
fn path_at(code: &str) -> &str {
    let end = code.find(|it: char| !(it.is_alphanumeric() || it == '_' || it == ':'));
    code[..end.unwrap_or(code.len())].trim_end_matches(':')
}

/// Finds the imports of a file, and the paths of its crate in the rest of the code.
fn paths(module: &[String], modules: &Modules) -> (Imports, Vec<Vec<String>>) {
    let code = &modules[module].code;
    let (mut imports, mut inline) = (Vec::new(), Vec::new());
    let mut rest = String::new();
    for (index, part) in code.split("use ").enumerate() {
        match part.split_once(';') {
            Some((tree, behind)) if index > 0 => {
                let flat = tree.split_whitespace().collect::<Vec<_>>().join(" ");
                expand(&flat, &[], &mut imports);
                rest += behind;
            }
            _ => rest += part,
        }
    }
    let starts = modules.keys().filter(|it| it.len() == module.len() + 1);
    let children = starts.filter(|it| it.starts_with(module));
    let children = children.filter_map(|it| it.last().cloned());
    for start in ["crate", "super", "self"]
        .map(str::to_owned)
        .into_iter()
        .chain(children)
    {
        for (at, _) in rest.match_indices(&format!("{start}::")) {
            let before = rest[..at].chars().next_back().unwrap_or(' ');
            // Of a visibility such as `pub(in super::super)` nothing is used.
            let is_visibility = rest[..at].ends_with("(in ");
            if !(is_visibility || before.is_alphanumeric() || "_:".contains(before)) {
                let path = path_at(&rest[at..]).split("::").map(str::to_owned);
                inline.extend(absolute(&path.collect::<Vec<_>>(), module, modules));
            }
        }
    }
    let imports = imports.into_iter();
    let imports = imports.filter_map(|(name, it)| Some((name, absolute(&it, module, modules)?)));
    (imports.collect(), inline)
}

/// The files of a crate that reach themselves, with the files of the same circle.
fn circles(directory: &Path) -> BTreeSet<BTreeSet<String>> {
    let mut modules = Modules::new();
    read_modules(directory, &[], &mut modules);
    let mut edges = BTreeMap::new();
    let names: Vec<_> = modules.keys().cloned().collect();
    for name in &names {
        let (imports, inline) = paths(name, &modules);
        edges.insert(name.clone(), inline);
        modules.get_mut(name).unwrap().imports = imports;
    }
    let uses: BTreeMap<_, BTreeSet<_>> = names
        .iter()
        .map(|name| {
            let imports = modules[name].imports.iter().map(|(_, path)| path);
            let all = imports.chain(&edges[name]);
            let all = all
                .map(|path| definer(path, &modules))
                .filter(|it| it != name);
            (name, all.collect())
        })
        .collect();
    let reach = |from: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(next) = open.pop() {
            for target in &uses[&next] {
                if seen.insert(target.clone()) {
                    open.push(target.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = names.iter().map(|name| (name, reach(name))).collect();
    let mut found = BTreeSet::new();
    for name in names.iter().filter(|it| reached[it].contains(*it)) {
        let mates = reached[name].iter().filter(|it| reached[it].contains(name));
        found.insert(
            mates
                .map(|it| format!("crate::{}", it.join("::")))
                .collect(),
        );
    }
    found
}

#[test]
fn modules_of_a_crate_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates: Vec<_> = fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    crates.sort();
    crates.push(root.to_path_buf());
    for path in crates {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = if path == root { "dateline" } else { &name };
        let found = circles(&path.join("src"));
        let count: usize = found.iter().map(BTreeSet::len).sum();
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let allowed = known.map_or(0, |(_, allowed)| *allowed);
        assert!(
            count <= allowed,
            "{name} has {count} files in circles: {found:#?}"
        );
    }
}
