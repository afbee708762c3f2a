//! Which containers a scope means. Pure: from a list of all to some of them.

use std::collections::HashMap;

use super::error::{ScopeError, listed};

/// Docker Compose's labels and those of Podman's.
const PROJECT: [&str; 2] = ["com.docker.compose.project", "io.podman.compose.project"];
const SERVICE: [&str; 2] = ["com.docker.compose.service", "io.podman.compose.service"];
/// `docker compose run` makes containers that are no replicas of the service.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Digits of an id that are enough to mean it.
const SHORTEST_PREFIX: usize = 4;

/// A container, as an engine lists it.
#[derive(Debug, Clone, Default)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    pub(super) labels: HashMap<String, String>,
    /// Paused ones run: their network is there, and they go on.
    pub(super) running: bool,
    pub(super) state: String,
    /// Its engine, by position in the listing.
    pub(super) engine: usize,
}

impl Container {
    /// For operators.
    pub(super) fn title(&self) -> String {
        let short = self.id.get(..12).unwrap_or(&self.id);
        match self.names.first() {
            Some(name) => format!("container {name} ({short})"),
            None => format!("container {short}"),
        }
    }

    fn label(&self, keys: [&str; 2]) -> Option<&str> {
        keys.into_iter().find_map(|key| self.labels.get(key)).map(String::as_str)
    }

    fn is_one_off(&self) -> bool {
        self.labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// How containers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector<'a> {
    Name(&'a str),
    Label { key: &'a str, value: Option<&'a str> },
    Compose { project: &'a str, service: &'a str },
}

impl<'a> Selector<'a> {
    /// `key` or `key=value`.
    pub(super) fn label(text: &'a str) -> Self {
        match text.split_once('=') {
            Some((key, value)) => Self::Label { key, value: Some(value) },
            None => Self::Label { key: text, value: None },
        }
    }

    /// `project/service`.
    pub(super) fn compose(text: &'a str) -> Self {
        let (project, service) = text.split_once('/').unwrap_or((text, ""));
        Self::Compose { project, service }
    }

    /// The running containers that are meant, at least one.
    ///
    /// # Errors
    /// None runs, or a prefix or name is that of several.
    pub(super) fn pick<'c>(
        &self,
        asked: &str,
        all: &'c [Container],
    ) -> Result<Vec<&'c Container>, ScopeError> {
        let meant = match self {
            Self::Name(text) => vec![by_name(asked, text, all)?],
            Self::Label { key, value } => {
                let fits = |label: &String| value.is_none_or(|value| value == label);
                all.iter().filter(|container| container.labels.get(*key).is_some_and(fits)).collect()
            }
            Self::Compose { project, service } => replicas(project, service, all),
        };
        let running: Vec<_> = meant.iter().copied().filter(|container| container.running).collect();
        if running.is_empty() { Err(self.absent(asked, &meant, all)) } else { Ok(running) }
    }

    fn absent(&self, asked: &str, meant: &[&Container], all: &[Container]) -> ScopeError {
        let (found, advice) = if meant.is_empty() {
            self.alternatives(all)
        } else {
            let states =
                meant.iter().map(|container| format!("{} is {}", container.title(), container.state));
            (listed(states), "start it first")
        };
        ScopeError::Absent { asked: format!("running {asked}"), found, advice: advice.to_owned() }
    }

    fn alternatives(&self, all: &[Container]) -> (String, &'static str) {
        let running = || all.iter().filter(|container| container.running);
        match self {
            Self::Name(_) => {
                let names = running().flat_map(|container| container.names.first().cloned());
                let advice = "write a name, an id, or at least 4 digits of one that is unique";
                (format!("running are: {}", listed(names)), advice)
            }
            Self::Label { key, value } => {
                let values = running().filter_map(|container| container.labels.get(*key));
                let values = listed(values.map(|value| format!("{key}={value}")));
                if value.is_some() && values != "none" {
                    return (format!("running containers have {values}"), "write one of those");
                }
                let keys = running().flat_map(|container| container.labels.keys().cloned());
                (format!("the labels of running containers are: {}", listed(keys)), "write key or key=value")
            }
            Self::Compose { project, .. } => {
                let services = running().filter(|container| container.label(PROJECT) == Some(*project));
                let services = services.filter(|container| !container.is_one_off());
                let services =
                    listed(services.filter_map(|container| container.label(SERVICE)).map(str::to_owned));
                if services == "none" {
                    let projects =
                        running().filter_map(|container| container.label(PROJECT)).map(str::to_owned);
                    return (format!("running projects are: {}", listed(projects)), "write project/service");
                }
                (format!("running services of {project} are: {services}"), "write one of those")
            }
        }
    }
}

fn replicas<'c>(project: &str, service: &str, all: &'c [Container]) -> Vec<&'c Container> {
    let fits = |container: &&Container| {
        container.label(PROJECT) == Some(project)
            && container.label(SERVICE) == Some(service)
            && !container.is_one_off()
    };
    all.iter().filter(fits).collect()
}

/// As Docker does it: a full id, then a name, then the beginning of an id; stopped containers count as well.
fn by_name<'c>(asked: &str, text: &str, all: &'c [Container]) -> Result<&'c Container, ScopeError> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let prefix = text.to_ascii_lowercase();
    let is_prefix = text.len() >= SHORTEST_PREFIX && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let by_id = |container: &&Container| container.id == prefix;
    let by_name = |container: &&Container| container.names.iter().any(|known| known == name);
    let by_prefix = |container: &&Container| is_prefix && container.id.starts_with(&prefix);
    let rules: [&dyn Fn(&&Container) -> bool; 3] = [&by_id, &by_name, &by_prefix];
    for rule in rules {
        let found: Vec<_> = all.iter().filter(rule).collect();
        match found.as_slice() {
            [] => {}
            [container] => return Ok(container),
            several => {
                return Err(ScopeError::Refused {
                    asked: asked.to_owned(),
                    reason: format!("it means {}", listed(several.iter().map(|container| container.title()))),
                    advice: "write more of the id".to_owned(),
                });
            }
        }
    }
    Err(Selector::Name(text).absent(asked, &[], all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str, running: bool, labels: &[(&str, &str)]) -> Container {
        Container {
            id: id.repeat(64 / id.len()),
            names: vec![name.to_owned()],
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            running,
            state: if running { "running" } else { "exited" }.to_owned(),
            engine: 0,
        }
    }

    fn all() -> Vec<Container> {
        let docker =
            |service| [("com.docker.compose.project", "shop"), ("com.docker.compose.service", service)];
        let podman = [("io.podman.compose.project", "blog"), ("com.docker.compose.service", "db")];
        let mut run = container("abcd5678", "shop_redis_run_1", true, &docker("redis"));
        run.labels.insert(ONE_OFF.to_owned(), "True".to_owned());
        vec![
            container("abcd1234", "shop_redis_1", true, &docker("redis")),
            container("abcd9999", "shop_redis_2", true, &docker("redis")),
            container("eeee0000", "shop_redis_3", false, &docker("redis")),
            container("ffff1111", "shop_web_1", false, &docker("web")),
            container("12341234", "blog_db_1", true, &podman),
            container("00001111", "beef", true, &[("tier", "edge")]),
            container("beef2222", "other", true, &[("tier", "core")]),
            run,
        ]
    }

    fn names(selector: Selector) -> Result<Vec<String>, String> {
        let all = all();
        let picked = selector.pick("it", &all).map_err(|error| error.to_string())?;
        Ok(picked.into_iter().map(|container| container.names[0].clone()).collect())
    }

    #[test]
    fn a_container_is_meant_by_name_id_or_a_unique_beginning_of_that() {
        let full = "abcd1234".repeat(8);
        for text in ["shop_redis_1", "/shop_redis_1", &full, "abcd1", "ABCD1234abcd"] {
            assert_eq!(names(Selector::Name(text)), Ok(vec!["shop_redis_1".to_owned()]), "{text}");
        }
        // A name goes before the beginning of an id.
        assert_eq!(names(Selector::Name("beef")), Ok(vec!["beef".to_owned()]));
        assert_eq!(names(Selector::Name("beef2")), Ok(vec!["other".to_owned()]));
    }

    #[test]
    fn an_ambiguous_beginning_lists_what_it_may_mean() {
        let error = names(Selector::Name("abcd")).unwrap_err();
        assert!(error.contains("shop_redis_1 (abcd1234abcd)"), "{error}");
        assert!(error.contains("shop_redis_2 (abcd9999abcd)"), "{error}");
    }

    #[test]
    fn too_short_a_beginning_and_unknown_names_list_what_runs() {
        for text in ["123", "redis", "feed"] {
            let error = names(Selector::Name(text)).unwrap_err();
            assert!(error.contains("blog_db_1") && error.contains("shop_redis_1"), "{error}");
            assert!(!error.contains("shop_web_1"), "{error}");
        }
    }

    #[test]
    fn a_stopped_container_is_said_to_be_stopped() {
        let error = names(Selector::Name("shop_web_1")).unwrap_err();
        assert!(error.contains("shop_web_1 (ffff1111ffff) is exited"), "{error}");
    }

    #[test]
    fn labels_are_matched_by_key_or_by_key_and_value() {
        assert_eq!(names(Selector::label("tier")), Ok(vec!["beef".to_owned(), "other".to_owned()]));
        assert_eq!(names(Selector::label("tier=core")), Ok(vec!["other".to_owned()]));
        let error = names(Selector::label("tier=db")).unwrap_err();
        assert!(error.contains("tier=core, tier=edge"), "{error}");
        let error = names(Selector::label("team=x")).unwrap_err();
        assert!(error.contains("com.docker.compose.project") && error.contains("tier"), "{error}");
    }

    #[test]
    fn a_compose_service_is_its_running_replicas() {
        let redis = vec!["shop_redis_1".to_owned(), "shop_redis_2".to_owned()];
        assert_eq!(names(Selector::compose("shop/redis")), Ok(redis));
        assert_eq!(names(Selector::compose("blog/db")), Ok(vec!["blog_db_1".to_owned()]));
    }

    #[test]
    fn an_unknown_compose_service_lists_what_there_is() {
        let error = names(Selector::compose("shop/mysql")).unwrap_err();
        assert!(error.contains("services of shop are: redis"), "{error}");
        let error = names(Selector::compose("shoop/redis")).unwrap_err();
        assert!(error.contains("projects are: blog, shop"), "{error}");
        let error = names(Selector::compose("shop/web")).unwrap_err();
        assert!(error.contains("shop_web_1 (ffff1111ffff) is exited"), "{error}");
    }
}
