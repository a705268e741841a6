//! A mail server that keeps what it is given.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The server. It speaks as much of SMTP as a client needs that sends one message.
#[derive(Debug)]
pub struct SmtpServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl SmtpServer {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(&stream, &kept));
            }
        });
        Self { address, mails }
    }

    /// Its address, as a setting wants it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Every mail: the lines of its envelope, and then the mail itself.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, mails: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut out = stream;
    let mut say = |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).ok();
    say("220 mail.example ready")?;
    let mut mail = String::new();
    loop {
        let line = lines.next()?.ok()?;
        match line.get(..4).unwrap_or(&line).to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => say("250 mail.example")?,
            "MAIL" | "RCPT" => {
                mail.push_str(&line);
                mail.push('\n');
                say("250 fine")?;
            }
            "DATA" => {
                say("354 go on")?;
                loop {
                    let line = lines.next()?.ok()?;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                mails.lock().unwrap().push(std::mem::take(&mut mail));
                say("250 kept")?;
            }
            "QUIT" => {
                say("221 good bye")?;
                return Some(());
            }
            _ => say("250 fine")?,
        }
    }
}
