//! A mail server that records the mails that it receives.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A mail server with as much of SMTP as a client needs to send one message.
#[derive(Debug)]
pub struct SmtpServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl SmtpServer {
    /// Starts a server.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let received = Arc::clone(&mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let received = Arc::clone(&received);
                std::thread::spawn(move || serve(&stream, &received));
            }
        });
        Self { address, mails }
    }

    /// Returns the address of the server.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Returns all mails: the lines of the envelope, followed by the mail.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, mails: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut out = stream;
    let mut reply = |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).ok();
    reply("220 mail.example ready")?;
    let mut mail = String::new();
    loop {
        let line = lines.next()?.ok()?;
        match line.get(..4).unwrap_or(&line).to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => reply("250 mail.example")?,
            "MAIL" | "RCPT" => {
                mail.push_str(&line);
                mail.push('\n');
                reply("250 fine")?;
            }
            "DATA" => {
                reply("354 go on")?;
                loop {
                    let line = lines.next()?.ok()?;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                mails.lock().unwrap().push(std::mem::take(&mut mail));
                reply("250 queued")?;
            }
            "QUIT" => {
                reply("221 good bye")?;
                return Some(());
            }
            _ => reply("250 fine")?,
        }
    }
}
