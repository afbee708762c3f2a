//! The markers of a round: all of them together.

use std::collections::BTreeMap;
use std::path::Path;

use super::file;
use super::log::Log;
use super::marker::{Site, Write, Writer, account, read, spans};
use super::probe::Place;
use super::report::model::MarkerReport;
use super::watch::millis;

#[derive(Default)]
pub struct Markers(Vec<Writing>);

struct Writing {
    name: String,
    marker: file::Marker,
    site: Site,
    /// Until it is stopped.
    writer: Option<Writer>,
    written: Vec<Write>,
}

impl Markers {
    /// The first of each is written at once.
    ///
    /// # Errors
    /// A host that cannot write.
    pub fn begin(
        markers: &BTreeMap<String, file::Marker>,
        place: impl Fn(Option<&str>) -> Result<Place, String>,
        run: &str,
        directory: &Path,
    ) -> Result<Self, String> {
        let begin = |(name, marker): (&String, &file::Marker)| {
            let place = place(marker.from.as_deref())?;
            let site = Site { place, directory: directory.to_owned(), run: run.to_owned() };
            let writer = Some(Writer::start(marker.clone(), site.clone(), "steady"));
            Ok(Writing { name: name.clone(), marker: marker.clone(), site, writer, written: Vec::new() })
        };
        markers.iter().map(begin).collect::<Result<_, _>>().map(Self)
    }

    /// Of all that are written from now on.
    pub fn phase(&self, phase: &str) {
        self.0.iter().filter_map(|writing| writing.writer.as_ref()).for_each(|writer| writer.phase(phase));
    }

    /// How long to wait, in milliseconds, until all that was written can be read.
    pub fn settle_ms(&self) -> u64 {
        self.0.iter().map(|writing| millis(writing.marker.settle)).max().unwrap_or_default()
    }

    /// Writes no more; the last of each may end in its time.
    pub async fn stop(&mut self) {
        for writing in &mut self.0 {
            if let Some(writer) = writing.writer.take() {
                writing.written = writer.stop().await;
            }
        }
    }

    /// What there is: the reports, and the longest time in which markers were lost. That is not known, if some could not be read.
    pub async fn read_back(self, log: std::rc::Rc<Log>) -> (Vec<MarkerReport>, Option<u64>) {
        let (mut reports, mut worst) = (Vec::new(), Some(0));
        for Writing { name, marker, site, written, .. } in self.0 {
            let found = read(&marker, &site).await;
            let (mut report, rpo) = account(&name, &written, found.as_deref().map_err(String::as_str));
            (report.rpo_ms, report.expendable) = (rpo.map(millis), marker.expendable);
            worst = worst.zip(report.rpo_ms).map(|(worst, rpo)| worst.max(rpo));
            report.spans = spans(&written, &report.lost, &|at| log.moment(at));
            reports.push(report);
        }
        let known = if reports.is_empty() { None } else { worst };
        (reports, known)
    }
}
