//! A minimal prototype as the upper bound: the same actix, the same HMAC, a typed parse, one table with three indexes,
//! and no features.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::body::SECRET;

/// The stored fields of a delivery.
struct Row {
    id: String,
    job: String,
    repo: String,
    number: i64,
    comment: i64,
    actor: String,
    body: web::Bytes,
}

type Order = (Row, oneshot::Sender<()>);

#[derive(Clone)]
struct State {
    key: ring::hmac::Key,
    checks: bool,
    writer: Option<SyncSender<Order>>,
    /// One connection that requests use in turn on blocking threads, as in most programs.
    each: Option<Arc<Mutex<rusqlite::Connection>>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    action: &'a str,
    issue: Issue,
    #[serde(borrow)]
    comment: Comment<'a>,
    #[serde(borrow)]
    repository: Repository<'a>,
}

#[derive(Deserialize)]
struct Issue {
    number: i64,
}

#[derive(Deserialize)]
struct Comment<'a> {
    id: i64,
    #[serde(borrow)]
    body: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    user: User<'a>,
}

#[derive(Deserialize)]
struct User<'a> {
    login: &'a str,
}

#[derive(Deserialize)]
struct Repository<'a> {
    full_name: &'a str,
}

const TABLE: &str = "CREATE TABLE delivery (platform TEXT NOT NULL, id TEXT NOT NULL, job TEXT NOT NULL,
    repo TEXT NOT NULL, number BIGINT NOT NULL, comment BIGINT NOT NULL, actor TEXT NOT NULL, body BLOB NOT NULL);
    CREATE UNIQUE INDEX delivery_id ON delivery (platform, id);
    CREATE UNIQUE INDEX delivery_job ON delivery (job);
    CREATE INDEX delivery_issue ON delivery (repo, number);";
const INSERT: &str = "INSERT INTO delivery (platform, id, job, repo, number, comment, actor, body)
    VALUES ('github', ?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";

/// Serves until it is killed; its first line of output is its address.
pub(crate) fn run(kind: &str, database: &str) {
    let writer = match kind {
        "group" => {
            let path = database.to_owned();
            let (sender, receiver) = sync_channel(1024);
            std::thread::spawn(move || sqlite(&path, &receiver));
            Some(sender)
        }
        "postgres" => {
            let (sender, receiver) = sync_channel(1024);
            let url = database.to_owned();
            std::thread::spawn(move || postgres(&url, &receiver));
            Some(sender)
        }
        _ => None,
    };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let each = (kind == "each").then(|| Arc::new(Mutex::new(open(database))));
    let state = State { key, checks: kind != "hello", writer, each };
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(state.clone()))
                .app_data(web::PayloadConfig::new(25 << 20))
                .route("/api/webhook", web::post().to(deliver))
        })
        .workers(2)
        .bind("127.0.0.1:0")
        .unwrap();
        println!("{}", server.addrs()[0]);
        std::io::stdout().flush().unwrap();
        server.run().await.unwrap();
    });
}

async fn deliver(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    if !state.checks {
        return HttpResponse::Accepted().body("{}");
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let digits = header("x-hub-signature-256").and_then(|value| value.strip_prefix("sha256=")).unwrap_or_default();
    let mut tag = [0_u8; 32];
    for (byte, pair) in tag.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    if ring::hmac::verify(&state.key, &body, &tag).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    let event: Event<'_> = serde_json::from_slice(&body).unwrap();
    if event.action != "created" || !event.comment.body.contains("@patchwright fix") {
        return HttpResponse::Ok().finish();
    }
    let job = uuid::Uuid::now_v7().to_string();
    let row = Row {
        id: header("x-github-delivery").unwrap().to_owned(),
        job: job.clone(),
        repo: event.repository.full_name.to_owned(),
        number: event.issue.number,
        comment: event.comment.id,
        actor: event.comment.user.login.to_owned(),
        body: body.clone(),
    };
    if let Some(conn) = &state.each {
        let conn = Arc::clone(conn);
        // Without a transaction of its own each statement is one.
        web::block(move || insert(&conn.lock().unwrap(), &row)).await.unwrap();
    } else if let Some(writer) = &state.writer {
        let (tell, reply) = oneshot::channel();
        writer.try_send((row, tell)).ok().unwrap();
        reply.await.unwrap();
    }
    HttpResponse::Accepted().body(format!("{{\"status\":\"accepted\",\"job_id\":\"{job}\"}}"))
}

fn gather(receiver: &Receiver<Order>) -> Vec<Order> {
    let mut batch = vec![receiver.recv().unwrap()];
    while batch.len() < 64
        && let Ok(next) = receiver.try_recv()
    {
        batch.push(next);
    }
    batch
}

fn open(database: &str) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(database.strip_prefix("sqlite://").unwrap()).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    conn.execute_batch(TABLE).unwrap();
    conn
}

fn insert(conn: &rusqlite::Connection, row: &Row) {
    let body: &[u8] = &row.body;
    let values = rusqlite::params![row.id, row.job, row.repo, row.number, row.comment, row.actor, body];
    conn.prepare_cached(INSERT).unwrap().execute(values).unwrap();
}

fn sqlite(path: &str, receiver: &Receiver<Order>) {
    let mut conn = open(path);
    loop {
        let batch = gather(receiver);
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        for (row, _) in &batch {
            insert(&transaction, row);
        }
        transaction.commit().unwrap();
        for (_, tell) in batch {
            let _ = tell.send(());
        }
    }
}

fn postgres(url: &str, receiver: &Receiver<Order>) {
    const UNNEST: &str = "INSERT INTO delivery (platform, id, job, repo, number, comment, actor, body)
        SELECT 'github', * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
        $7::bytea[]) ON CONFLICT DO NOTHING";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::task::spawn_local(connection);
        client.batch_execute(&TABLE.replace("BLOB", "BYTEA")).await.unwrap();
        let insert = client.prepare(UNNEST).await.unwrap();
        loop {
            let batch = gather(receiver);
            let texts = |of: fn(&Row) -> &str| batch.iter().map(|(row, _)| of(row)).collect::<Vec<_>>();
            let numbers = |of: fn(&Row) -> i64| batch.iter().map(|(row, _)| of(row)).collect::<Vec<_>>();
            let bodies: Vec<&[u8]> = batch.iter().map(|(row, _)| row.body.as_ref()).collect();
            client
                .execute(
                    &insert,
                    &[
                        &texts(|row| &row.id),
                        &texts(|row| &row.job),
                        &texts(|row| &row.repo),
                        &numbers(|row| row.number),
                        &numbers(|row| row.comment),
                        &texts(|row| &row.actor),
                        &bodies,
                    ],
                )
                .await
                .unwrap();
            for (_, tell) in batch {
                let _ = tell.send(());
            }
        }
    });
}
