//! Small files with every kind of error; the public data, if they are beside the workspace.

mod company;
mod files;
mod public;
mod shops;

use super::{BadRow, ImportError, ImportKind, Outcome, Request, run};
use crate::server::Server;
use tempfile::TempDir;
use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::Entity;

const NOW_MS: i64 = 1_800_000_000_000;

const ORG: &str = "row,code,name_zh,name_en,unit_type,parent,territory,title,unit,role,superior
unit,HQ,总公司,Company,company,,,,,,
unit,HB,华北大区,North,大区,HQ,11|12;130000,,,,
unit,GAN_WAN,赣晥大区,Gan-Wan,region,HQ,36|34,,,,
position,HB-MGR,,,,,,华北大区经理,HB,manager,
position,HB-M1,,,,,,理货员,HB,理货员,HB-MGR
";
const PEOPLE: &str = "工号,姓名,岗位,入职日期
M001,王芳,HB-M1,2024/3/1
M002,李雷,,
";
const OUTLETS: &str = "code,name,region,city_code
S1,银泰店,华北大区,1101
S2,沈阳店,unassigned,2101
S3,合肥店,,3401
";

/// A server with the small company above.
struct Fixture {
    _folder: TempDir,
    server: Server,
}

impl Fixture {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(folder.path(), NOW_MS).unwrap();
        Self { _folder: folder, server }
    }

    fn company() -> Self {
        let fixture = Self::empty();
        for (kind, file) in
            [(ImportKind::Org, ORG), (ImportKind::People, PEOPLE), (ImportKind::Outlets, OUTLETS)]
        {
            let outcome = fixture.import(kind, file);
            assert!(outcome.imported, "{}", outcome.summary());
        }
        fixture
    }

    fn import(&self, kind: ImportKind, file: &str) -> Outcome {
        self.try_import(kind, file.as_bytes()).unwrap()
    }

    fn try_import(&self, kind: ImportKind, bytes: &[u8]) -> Result<Outcome, ImportError> {
        let request = Request { kind, bytes, dry_run: false, skip_bad: false, channel: None };
        run(&self.server, &request, "test", NOW_MS)
    }

    fn skip_bad(&self, kind: ImportKind, file: &str) -> Outcome {
        let request = Request { kind, bytes: file.as_bytes(), dry_run: false, skip_bad: true, channel: None };
        run(&self.server, &request, "test", NOW_MS).unwrap()
    }

    /// The record of a kind with a natural key.
    fn read<T: Entity>(&self, key: &str) -> T {
        let id = RecordId::derived(T::SPEC.kind, key);
        T::read(&self.server.record(T::key(id)).unwrap().unwrap())
    }
}

/// Line, column and reason of every bad row.
fn faults(outcome: &Outcome) -> Vec<(usize, &str, &str)> {
    outcome
        .bad
        .iter()
        .map(|BadRow { line, column, reason, .. }| (*line, column.as_str(), reason.as_str()))
        .collect()
}

/// The numbers of created, changed and unchanged records.
fn counts(outcome: &Outcome) -> [usize; 3] {
    [outcome.created, outcome.changed, outcome.unchanged]
}
