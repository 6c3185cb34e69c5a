//! Pages in a database of a million conversations: what one costs must not depend on what its account holds.
//!
//! The database is filled by its own SQL, with rows as the server writes them; then a server is started on it and
//! asked over one connection, for one page and the other in turn, so that what the machine does besides falls on both
//! alike.

use std::path::Path;

use anyhow::{Context as _, Result};
use chatwarden_testkit::App;
use chatwarden_testkit::services::{Durability, Postgres, Server};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Runtime;

use crate::Measured;
use crate::client::{Load, in_turn};
use crate::desk::{Desk, Desks};
use crate::messages::{SETTINGS, ms};
use crate::sqlite::{frames, take, told};

/// The conversations of all accounts together.
const WHOLE: u32 = 1_000_000;
/// Those of the account whose pages are measured, and of the one that they are compared with.
const LARGE: u32 = 10_000;
const SMALL: u32 = 1_000;
/// The accounts that have the others.
const OTHERS: u32 = 20;
/// The messages of a long conversation and of a short one: the first two of the large account.
const LONG: u32 = 10_000;
const SHORT: u32 = 100;
/// How often each question is asked.
const TIMES: usize = 400;

/// The accounts that are asked: the large one, the small one and one of the others.
struct Filled {
    large: Desk,
    small: Desk,
    other: Desk,
}

/// Makes the accounts; what fills them, in SQL of both engines.
fn accounts(server: &Server) -> Result<(Filled, Vec<String>)> {
    let mut desks = Desks::new(server)?;
    let (large, small, other) = (desks.desk(0)?, desks.desk(0)?, desks.desk(0)?);
    let each = (WHOLE - LARGE - SMALL) / OTHERS;
    let mut script = filling(&large, 1, LARGE);
    script.extend(talk(&large, 1, 1, LONG));
    script.extend(talk(&large, 1, 2, SHORT));
    script.extend(filling(&small, 2, SMALL));
    script.extend(filling(&other, 3, each));
    for index in 4..3 + OTHERS {
        script.extend(filling(&desks.desk(0)?, index, each));
    }
    script.push("delete from conversation_deltas".to_owned());
    script.push(
        "insert into conversation_counts (account_id, inbox_id, team_id, assignee_id, status, unread, n)
         select account_id, inbox_id, coalesce(team_id, 0), coalesce(assignee_id, 0), status,
            case when unread_count > 0 then 1 else 0 end, count(*)
         from conversations group by 1, 2, 3, 4, 5, 6"
            .to_owned(),
    );
    Ok((Filled { large, small, other }, script))
}

/// The first of the ids that the rows of an account have.
fn base(index: u32) -> u64 {
    u64::from(index) * 1_000_000
}

/// A list of numbers from 1 to `count`, for a statement to take rows from.
fn numbers(count: u32) -> String {
    format!(
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < {count})"
    )
}

/// As many conversations, each with a contact and a message. A third is the administrator's, three of ten are open,
/// in half of them something is unread.
fn filling(desk: &Desk, index: u32, count: u32) -> Vec<String> {
    let (account, inbox, user, base, numbers) =
        (desk.account, desk.inbox, desk.user, base(index), numbers(count));
    // Of the newest first: 2025-10-09, and a second earlier each.
    let at = "1760000000000000 - i * 1000000";
    vec![
        format!(
            "{numbers} insert into contacts (account_id, id, name, middle_name, last_name, email, contact_type, blocked,
                additional_attributes, custom_attributes, labels, search_folded, last_activity_at, created_at, updated_at)
             select {account}, {base} + i, 'Visitor ' || i, '', '', 'visitor.' || i || '@example.com', 0, false,
                '{{}}', '{{}}', '[]', 'visitor ' || i || ' visitor.' || i || '@example.com', {at}, {at}, {at} from n"
        ),
        format!(
            "{numbers} insert into contact_inboxes (account_id, id, contact_id, inbox_id, source_id, hmac_verified,
                pubsub_token, created_at, updated_at)
             select {account}, {base} + i, {base} + i, {inbox}, 'filled-' || ({base} + i), false,
                'filled-' || ({base} + i), {at}, {at} from n"
        ),
        format!(
            "{numbers} insert into conversations (account_id, id, display_id, uuid, inbox_id, contact_id, contact_inbox_id,
                status, assignee_id, additional_attributes, custom_attributes, labels, waiting_since, last_activity_at,
                unread_count, burst_began_at, burst_count, last_message_id, last_non_activity_message_id,
                last_public_message_id, created_at, updated_at)
             select {account}, {base} + i, i, 'filled-' || ({base} + i), {inbox}, {base} + i, {base} + i,
                case when i % 10 < 6 then 1 when i % 10 < 9 then 0 else 2 end, case when i % 3 = 0 then {user} end,
                '{{}}', '{{}}', '[]', {at}, {at}, i % 2, {at}, 1, {base} + i, {base} + i, {base} + i, {at}, {at} from n"
        ),
        message(&numbers, account, inbox, &format!("{base} + i"), &format!("{base} + i"), user),
        format!("update account_sequences set conversations = {count} where account_id = {account}"),
    ]
}

/// A message with an id, in a conversation, for each number.
fn message(
    numbers: &str,
    account: i64,
    inbox: i64,
    id: &str,
    conversation: &str,
    user: i64,
) -> String {
    format!(
        "{numbers} insert into messages (account_id, id, conversation_id, inbox_id, message_type, content_type, content,
            processed_content, private, status, sender_type, sender_id, content_attributes, additional_attributes,
            attachments, created_at, updated_at)
         select {account}, {id}, {conversation}, {inbox}, i % 2, 0, 'Where is it? It left today, sorry for the delay.',
            'Where is it? It left today, sorry for the delay.', false, 0,
            case when i % 2 = 0 then 'Contact' else 'User' end, case when i % 2 = 0 then {conversation} else {user} end,
            '{{}}', '{{}}', '[]', 1760000000000000 + i * 1000000, 1760000000000000 + i * 1000000 from n"
    )
}

/// So many more messages in a conversation.
fn talk(desk: &Desk, index: u32, conversation: u32, count: u32) -> [String; 2] {
    let (account, base) = (desk.account, base(index));
    let (conversation, first) =
        (base + u64::from(conversation), base + 100_000 * u64::from(conversation + 1));
    let last = first + u64::from(count);
    let of = conversation.to_string();
    [
        message(&numbers(count), account, desk.inbox, &format!("{first} + i"), &of, desk.user),
        format!(
            "update conversations set last_message_id = {last}, last_non_activity_message_id = {last},
                last_public_message_id = {last} where account_id = {account} and id = {conversation}"
        ),
    ]
}

/// Asks a server for each of the pages; the lines of the result.
fn ask(
    runtime: &Runtime,
    server: &Server,
    filled: &Filled,
    engine: Engine,
) -> Result<Vec<Measured>> {
    let list = |desk: &Desk| desk.get("/conversations");
    let messages = |number: u32| filled.large.get(&format!("/conversations/{number}/messages"));
    // Pairs alone: what is asked right after something long takes longer.
    let each = |asked: &[Vec<u8>]| runtime.block_on(in_turn(server.port(), asked, TIMES));
    let lists = each(&[list(&filled.large), list(&filled.small)])?;
    let messages = each(&[messages(1), messages(2)])?;
    let meta = |desk: &Desk| desk.get("/conversations/meta");
    let metas = each(&[meta(&filled.large), meta(&filled.small), meta(&filled.other)])?;
    println!("lists on {}: p50 and p95, ms", engine.name);
    let names = ["list of 10,000", "list of 1,000", "messages of 10,000", "messages of 100"]
        .into_iter()
        .chain(["counts of 10,000", "counts of 1,000", "counts of 49,450"]);
    for (what, load) in names.zip(lists.iter().chain(&messages).chain(&metas)) {
        println!("  {what}: {:.2}, {:.2}", ms(load.quantile(0.5)), ms(load.quantile(0.95)));
    }
    let ([large, small], [long, short]) = (lists.as_slice(), messages.as_slice()) else {
        anyhow::bail!("an answer is missing")
    };
    Ok(vec![
        against(engine.list, large, small, "≤ 1.3", 1.3),
        against(engine.messages, long, short, "≤ 1.2", 1.2),
    ])
}

/// One median against another.
fn against(
    what: &'static str,
    large: &Load,
    small: &Load,
    wanted: &'static str,
    most: f64,
) -> Measured {
    let (large, small) = (ms(large.quantile(0.5)), ms(small.quantile(0.5)));
    let ratio = large / small;
    Measured {
        what,
        value: format!("{large:.2} ms against {small:.2} ms = {ratio:.2}"),
        wanted,
        met: ratio <= most,
    }
}

/// What the lines are called on an engine.
#[derive(Clone, Copy)]
struct Engine {
    name: &'static str,
    list: &'static str,
    messages: &'static str,
}

const SQLITE: Engine = Engine {
    name: "SQLite",
    list: "p50 of a page of 25 among 10,000 conversations against 1,000, SQLite, 1 M in all",
    messages: "p50 of the messages of a conversation of 10,000 against 100, SQLite",
};
const POSTGRES: Engine = Engine {
    name: "PostgreSQL",
    list: "p50 of a page of 25 among 10,000 conversations against 1,000, PostgreSQL, 1 M in all",
    messages: "p50 of the messages of a conversation of 10,000 against 100, PostgreSQL",
};

/// On SQLite; and what the counts cost there.
pub fn sqlite(runtime: &Runtime, program: &Path) -> Result<Vec<Measured>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lists.sqlite3");
    let url = format!("sqlite://{}", path.display());
    let mut settings = SETTINGS.to_vec();
    settings.push(("DATABASE_URL", &url));
    let mut server = Server::new(program, &settings)?;
    server.start()?;
    let (filled, script) = accounts(&server)?;
    server.stop()?;
    let conn = Connection::open(&path)?;
    // Nobody else looks, and what is lost is made anew.
    conn.execute_batch(
        "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1048576;",
    )?;
    for statement in &script {
        conn.execute_batch(statement)?;
    }
    drop(conn);
    server.start()?;
    let mut lines = ask(runtime, &server, &filled, SQLITE)?;
    server.stop()?;
    lines.push(counts(runtime, &path, &filled)?);
    Ok(lines)
}

/// On PostgreSQL.
pub fn postgres(runtime: &Runtime, program: &Path) -> Result<Vec<Measured>> {
    let postgres = Postgres::start(Durability::Full)?;
    let mut settings = SETTINGS.to_vec();
    settings.push(("DATABASE_URL", postgres.url()));
    let mut server = Server::new(program, &settings)?;
    server.start()?;
    let (filled, script) = accounts(&server)?;
    // It adds up counts by itself, while they are filled in.
    server.stop()?;
    for statement in &script {
        postgres.sql(statement)?;
    }
    // As its own cleaner does some minutes later.
    postgres.sql("vacuum analyze")?;
    server.start()?;
    let lines = ask(runtime, &server, &filled, POSTGRES)?;
    server.stop()?;
    Ok(lines)
}

/// The counts beside a list, against the cheapest of the list's own statements, at three sizes of account: the
/// statements that a server in process runs for each, repeated on one connection.
fn counts(runtime: &Runtime, path: &Path, filled: &Filled) -> Result<Measured> {
    let mut worst = (0.0, String::new());
    let desks = [&filled.small, &filled.large, &filled.other];
    let told = runtime.block_on(captured(path, desks))?;
    for ((list, meta), size) in told.into_iter().zip(["1,000", "10,000", "49,450"]) {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.execute_batch("pragma cache_size = -8192; pragma mmap_size = 268435456;")?;
        let p95 = |texts: &[String]| -> Result<Vec<f64>> {
            texts.iter().map(|text| repeated(&conn, text)).collect()
        };
        let of_meta: f64 = p95(&meta)?.iter().sum();
        // The list shows the same counts: they are not compared with themselves.
        let own: Vec<String> = list.into_iter().filter(|text| !meta.contains(text)).collect();
        let times = p95(&own)?;
        println!("statements of a list in an account of {size}, p95 in µs; counts: {of_meta:.0}");
        for (text, time) in own.iter().zip(&times) {
            println!("  {time:.0}: {}", text.chars().take(160).collect::<String>());
        }
        let cheapest = times.into_iter().reduce(f64::min).context("a list has statements")?;
        let ratio = of_meta / cheapest;
        if ratio > worst.0 {
            let shown = format!(
                "{of_meta:.0} µs against {cheapest:.0} µs = {ratio:.2} in an account of {size}"
            );
            worst = (ratio, shown);
        }
    }
    Ok(Measured {
        what: "p95 of the counts' statement against the list's cheapest, SQLite, the worst of three accounts",
        value: worst.1,
        wanted: "≤ 2",
        met: worst.0 <= 2.0,
    })
}

/// The statements of a page of the list, and of the counts alone, without those that let the caller in.
async fn captured(path: &Path, desks: [&Desk; 3]) -> Result<Vec<(Vec<String>, Vec<String>)>> {
    let (app, _) = App::told(path, told).await?;
    let mut found = Vec::new();
    for desk in desks {
        let caller = app.anyone().with_header("api_access_token", &desk.token);
        let own = async |path: &str| -> Result<Vec<String>> {
            let path = format!("/api/v1/accounts/{}{path}", desk.account);
            take()?;
            caller.get(&path).await.ok();
            let told = take()?;
            // The last transaction is the handler's.
            let from = told.iter().rposition(|text| text == "begin").context("a transaction")?;
            Ok(told.into_iter().skip(from).filter(|text| !frames(text)).collect())
        };
        found.push((own("/conversations").await?, own("/conversations/meta").await?));
    }
    app.db().close().await;
    Ok(found)
}

/// The microseconds that 95 of 100 runs of a statement stay under.
fn repeated(conn: &Connection, text: &str) -> Result<f64> {
    let mut statement = conn.prepare(text)?;
    let mut times = Vec::new();
    for run in 0..TIMES + TIMES / 10 {
        let began = std::time::Instant::now();
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        if run >= TIMES / 10 {
            times.push(began.elapsed());
        }
    }
    Ok(ms(Load::of(times).quantile(0.95)) * 1e3)
}
