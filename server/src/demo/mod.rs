//! `demo`: a company in a box. Nine regions, 36 people with real clients that record a day offline and sync over QUIC,
//! the resulting figures, and four checks of the project's promises.
//!
//! The demo's day is yesterday, so that it is complete. Phones live through it with their own clocks, and sync today.
//! Their stamps are then ahead of the server's clock, which clamps them like those of any phone with a wrong clock;
//! captured times stay as they are. This is the only part of the server that may import the client (docs/adr/0007).

mod catalogue;
mod checks;
mod clock;
mod company;
mod day;
mod fleet;
mod folder;
mod geography;
mod picture;
mod shelf;
mod show;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::kinds::GtinError;

pub use checks::CheckError;
pub use fleet::{FleetError, PhoneError};
pub use folder::FolderError;

use crate::console::{Users, UsersError};
use crate::figures::RollUp;
use crate::serve::{self, Config, Running, ServeError};
use crate::sessions::now_ms;
use crate::store::StoreError;
use crate::{Server, WriteError};
use company::Company;
use fleet::{Evening, Habit, Phone, all, blame};
use folder::Folder;
use show::{Step, say};

/// The seed of all randomness.
const SEED: u64 = 36;
/// The demo's name in the audit trail.
const BY: &str = "demo";
const HOUR_MS: i64 = 3_600_000;
/// The region whose manager gets a login, beside headquarters.
const SHOWN_REGION: &str = "HUA_BEI";

/// How to run the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to end after the checks instead of serving.
    pub exit: bool,
    /// The data folder, which must be empty or missing; without one a temporary folder is used and removed at the end.
    pub data: Option<PathBuf>,
    /// The console's address.
    pub http: SocketAddr,
    /// The address for phones.
    pub quic: SocketAddr,
    /// The location of photos; in the data folder by default.
    pub photos: Option<String>,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The company was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A product's GTIN is invalid.
    #[error(transparent)]
    Gtin(#[from] GtinError),
    /// A phone failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The server's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The console's logins failed.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// A check failed.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The demo was stopped.
    #[error("the demo was stopped before its end")]
    Stopped,
}

/// Runs the demo, and serves until Ctrl-C unless `exit` is set. The runtime must have several threads.
///
/// # Errors
/// Returns an error if a step fails, or one of the four checks.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    let folder = Folder::open(options.data.as_deref())?;
    let running = tokio::select! {
        told = tell(options, &folder) => told?,
        () = serve::until_told_to_stop() => return Err(DemoError::Stopped),
    };
    if !options.exit {
        serve::until_told_to_stop().await;
    }
    running.stop().await;
    Ok(())
}

/// The demo's day and its moments.
#[derive(Clone, Copy)]
struct Yesterday {
    day: Day,
    midnight_ms: i64,
}

impl Yesterday {
    fn at(now_ms: i64) -> Self {
        let day = Day(Day::local(now_ms, DEFAULT_ZONE).unwrap_or(Day(1)).0 - 1);
        Self { day, midnight_ms: day.start_ms(DEFAULT_ZONE).unwrap_or(0) }
    }
}

async fn tell(options: &Options, folder: &Folder) -> Result<Running, DemoError> {
    let began = Instant::now();
    let yesterday = Yesterday::at(now_ms());
    say(format!(
        "巡店演示 Xundian demo · 业务日期 day {} (昨天 yesterday) · 种子 seed {SEED}\n",
        yesterday.day
    ));

    let photos = options.photos.clone();
    let config = Config { data: folder.path().to_owned(), http: options.http, quic: options.quic, photos };
    let running = serve::start(&config).await?;
    let company = found_company(&running.server, yesterday)?;
    let phones = hand_out(&running, folder.path(), &company, yesterday).await?;

    // The server is stopped while people work, so that nothing can reach it.
    let server = Arc::clone(&running.server);
    let config = Config { http: running.http, quic: running.quic, ..config };
    running.stop().await;
    let (phones, saved) = work_offline(phones, &company, yesterday).await?;
    let running = serve::start_with(server, &config).await?;

    let phones = come_back(&running.server, phones, yesterday).await?;
    say(format!("\n{}\n", tokio::task::block_in_place(|| show::regions(&running.server, yesterday.day))?));
    say(format!("{}\n", tokio::task::block_in_place(|| show::nation(&running.server, yesterday.day))?));

    checks::all_of_them(&running.server, phones, yesterday.day, saved).await?;
    let logins = add_logins(folder.path(), &company)?;
    say(format!("\n用时 took {:.1} s", began.elapsed().as_secs_f64()));
    farewell(options, folder, &running, &logins, yesterday.day);
    Ok(running)
}

fn found_company(server: &Server, yesterday: Yesterday) -> Result<Company, DemoError> {
    let step = Step::begin(1, "公司 company");
    let mut company = company::make(SEED, yesterday.day)?;
    let drafts = std::mem::take(&mut company.drafts);
    tokio::task::block_in_place(|| server.write(drafts, BY, now_ms()))?;
    let (assigned, free) = (company.assigned_outlets(), company.unassigned_outlets);
    let (products, calls) = (company.items.len(), company.planned_calls());
    step.done(&format!(
        "公司 company: 9 个大区 regions, 36 名理货员 people, {assigned} 家门店 outlets (+{free} 未分配 unassigned), \
         {products} 种产品 products, {calls} 次计划拜访 planned calls"
    ));
    Ok(company)
}

/// Gives everybody a phone that has their outlets.
async fn hand_out(
    running: &Running,
    folder: &Path,
    company: &Company,
    yesterday: Yesterday,
) -> Result<Vec<Phone>, DemoError> {
    let step = Step::begin(company.merchandisers.len(), "注册手机 phones");
    let address = reachable(running.quic);
    // Phones are handed out the afternoon before.
    let at_ms = yesterday.midnight_ms - 8 * HOUR_MS;
    let enrolling = company.merchandisers.iter().cloned().map(|who| {
        let (server, nth) = (Arc::clone(&running.server), who.nth);
        let home = folder.join("devices").join(format!("{:02}", nth + 1));
        async move { Phone::enrol(server, address, home, who, at_ms).await.map_err(blame(nth)) }
    });
    let phones = all(enrolling, &step.bar).await?;
    step.done(&format!(
        "{} 台手机经 QUIC 注册并取得门店与路线 phones enrolled over QUIC and know their outlets",
        phones.len()
    ));
    Ok(phones)
}

/// Lets everybody record their day without a server. Returns the number of visits on their phones.
async fn work_offline(
    phones: Vec<Phone>,
    company: &Company,
    yesterday: Yesterday,
) -> Result<(Vec<Phone>, i64), DemoError> {
    let step = Step::begin(phones.len(), "离线记录 offline");
    let items = Arc::new(company.items.clone());
    let recording = phones.into_iter().map(|phone| {
        let items = Arc::clone(&items);
        let nth = phone.who.nth;
        async move {
            let work = move || {
                phone.record(&items, yesterday.midnight_ms, SEED)?;
                let holds = phone.holds(yesterday.day)?;
                Ok((phone, holds))
            };
            tokio::task::spawn_blocking(work).await?.map_err(blame(nth))
        }
    });
    let (phones, holds): (Vec<_>, Vec<_>) = all(recording, &step.bar).await?.into_iter().unzip();
    let visits = holds.iter().map(|holds| holds.visits).sum();
    let saves: u64 = holds.iter().map(|holds| holds.unsent).sum();
    step.done(&format!(
        "服务器停机，36 人离线记录 with the server down, 36 people recorded {visits} 次拜访 visits ({saves} 条待传 changes to send)"
    ));
    Ok((phones, visits))
}

/// Lets the phones sync: first those in time, some twice and some interrupted, then the late ones.
async fn come_back(
    server: &Server,
    phones: Vec<Phone>,
    yesterday: Yesterday,
) -> Result<Vec<Phone>, DemoError> {
    let (late, in_time): (Vec<_>, Vec<_>) = phones.into_iter().partition(|phone| phone.habit == Habit::Late);
    let mut phones = sync("收工同步 sync after work", in_time).await?;
    tell_completeness(server, yesterday)?;
    phones.extend(sync("迟到同步 late sync", late).await?);
    tell_completeness(server, yesterday)?;
    Ok(phones)
}

async fn sync(name: &'static str, phones: Vec<Phone>) -> Result<Vec<Phone>, DemoError> {
    let step = Step::begin(phones.len(), name);
    let syncing = phones.into_iter().map(|phone| {
        let nth = phone.who.nth;
        async move { phone.sync_as_usual().await.map_err(blame(nth)) }
    });
    let (phones, evenings): (Vec<_>, Vec<Evening>) = all(syncing, &step.bar).await?.into_iter().unzip();
    let mut done = format!("{name}: {} 台手机 phones", phones.len());
    let twice = evenings.iter().filter(|evening| evening.syncs > 1).count();
    if twice > 0 {
        done.push_str(&format!(", {twice} 台同步两次 twice"));
    }
    let cuts: usize = evenings.iter().map(|evening| evening.cuts).sum();
    if cuts > 0 {
        done.push_str(&format!(
            ", {cuts} 台中途断开后重启再同步 cut off half-way, restarted and synced again"
        ));
    }
    step.done(&done);
    Ok(phones)
}

fn tell_completeness(server: &Server, yesterday: Yesterday) -> Result<(), DemoError> {
    let nation =
        tokio::task::block_in_place(|| server.figures(RollUp::Nation, yesterday.day, yesterday.day))?;
    let completeness = show::completeness(nation.completeness);
    say(format!("  全国 nation: {} 次拜访 visits, 完整度 completeness {completeness}", nation.visits.visits));
    Ok(())
}

struct Login {
    name: &'static str,
    password: String,
    sees: &'static str,
}

/// Logins for this run alone: headquarters, and one region's manager.
fn add_logins(data: &Path, company: &Company) -> Result<Vec<Login>, DemoError> {
    let users = Users::open(data)?;
    let manager =
        company.managers.iter().find(|(region, _)| *region == SHOWN_REGION).map(|(_, person)| *person);
    let mut logins = Vec::new();
    for (name, person, sees) in
        [("demo", None, "全国 the nation"), ("huabei", manager, "华北大区 North China alone")]
    {
        let password = password();
        tokio::task::block_in_place(|| users.add_user(name, &password, person))?;
        logins.push(Login { name, password, sees });
    }
    Ok(logins)
}

/// A password of letters and digits that are not easily confused.
fn password() -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..12).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

fn farewell(options: &Options, folder: &Folder, running: &Running, logins: &[Login], day: Day) {
    let kept = if folder.is_removed() { "结束时删除 removed at the end" } else { "保留 kept" };
    say(format!("数据 data      {} ({kept})", folder.path().display()));
    if options.exit && folder.is_removed() {
        return;
    }
    if !options.exit {
        // The console opens with today, which is empty.
        say(format!("控制台 console  http://{}/?day={day}", reachable(running.http)));
    }
    for Login { name, password, sees } in logins {
        say(format!("登录 login     {name} / {password}  ({sees})"));
    }
    if !options.exit {
        say("按 Ctrl-C 结束 press Ctrl-C to stop");
    }
}

/// An address by which this machine reaches a listener bound to `bound`.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
