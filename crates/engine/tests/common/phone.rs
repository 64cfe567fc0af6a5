//! A telephone made of two UDP sockets and text: it judges the engine without sharing its SIP code.

use std::net::SocketAddr;
use std::time::Instant;

use media::{g711, tone};
use tokio::net::UdpSocket;

pub struct Phone {
    /// What it dials.
    pub number: String,
    sip: UdpSocket,
    pub rtp: UdpSocket,
    server: SocketAddr,
    pub local: SocketAddr,
    call_id: String,
    branch: String,
    to: String,
    contact: String,
    rtp_to: Option<SocketAddr>,
    sequence: u16,
    cseq: u32,
    /// What it says while it talks.
    pub voice: Option<tone::Sine>,
}

/// A SIP message as text.
#[derive(Debug, Clone)]
pub struct Text(pub String);

impl Text {
    pub fn start(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.start()
            .strip_prefix("SIP/2.0 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn headers(&self, name: &str) -> String {
        self.0
            .lines()
            .filter(|line| {
                line.split_once(':')
                    .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
            })
            .map(|line| format!("{line}\r\n"))
            .collect()
    }
}

impl Phone {
    pub async fn new(server: SocketAddr) -> Self {
        let sip = UdpSocket::bind(super::loopback()).await.expect("a port");
        let rtp = UdpSocket::bind(super::loopback()).await.expect("a port");
        let local = sip.local_addr().expect("bound");
        Self {
            number: "agent".to_owned(),
            sip,
            rtp,
            server,
            local,
            call_id: format!("{}@test", local.port()),
            branch: format!("z9hG4bK{}", local.port()),
            to: String::new(),
            contact: String::new(),
            rtp_to: None,
            sequence: 0,
            voice: None,
            cseq: 1,
        }
    }

    pub fn sdp(&self, formats: &str) -> String {
        let port = self.rtp.local_addr().expect("bound").port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\na=sendrecv\r\n"
        )
    }

    fn request(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let to = if self.to.is_empty() {
            "<sip:agent@127.0.0.1>".to_owned()
        } else {
            self.to.clone()
        };
        let target = if self.contact.is_empty() || method == "CANCEL" {
            format!("sip:{}@{}", self.number, self.server)
        } else {
            self.contact.clone()
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: \"T\" <sip:+33123456789@127.0.0.1>;tag=t1\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@{local}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
            local = self.local,
            id = self.call_id,
            length = body.len(),
        )
    }

    async fn send(&self, text: &str) {
        self.sip
            .send_to(text.as_bytes(), self.server)
            .await
            .expect("sent");
    }

    pub async fn invite(&self, sdp: &str) {
        self.send(&self.request("INVITE", 1, &self.branch, sdp))
            .await;
    }

    pub async fn cancel(&self) {
        self.send(&self.request("CANCEL", 1, &self.branch, ""))
            .await;
    }

    pub async fn receive(&self) -> Text {
        super::within("a SIP message", async {
            let mut buffer = vec![0; 65_535];
            let (count, _) = self.sip.recv_from(&mut buffer).await.expect("received");
            Text(String::from_utf8_lossy(&buffer[..count]).into_owned())
        })
        .await
    }

    /// Waits for a final answer to the INVITE and acknowledges it.
    pub async fn final_answer(&mut self) -> Text {
        loop {
            let answer = self.receive().await;
            if answer.status() < 200
                || !answer
                    .header("CSeq")
                    .is_some_and(|cseq| cseq.contains("INVITE"))
            {
                continue;
            }
            self.to = answer.header("To").expect("a To header").to_owned();
            if answer.status() < 300 {
                let contact = answer.header("Contact").expect("a Contact header");
                self.contact = contact
                    .trim_start_matches('<')
                    .split('>')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                self.rtp_to = media_address(answer.body());
                self.send(&self.request("ACK", 1, &format!("{}a", self.branch), ""))
                    .await;
            } else {
                self.send(&self.request("ACK", 1, &self.branch, "")).await;
            }
            return answer;
        }
    }

    /// Takes the other side's offer and answers it in the ACK.
    pub async fn final_answer_with_ack(&mut self, formats: &str) -> Text {
        loop {
            let answer = self.receive().await;
            if answer.status() != 200 {
                continue;
            }
            self.to = answer.header("To").expect("a To header").to_owned();
            let contact = answer.header("Contact").expect("a Contact header");
            self.contact = contact
                .trim_start_matches('<')
                .split('>')
                .next()
                .unwrap_or_default()
                .to_owned();
            self.rtp_to = media_address(answer.body());
            let sdp = self.sdp(formats);
            self.send(&self.request("ACK", 1, &format!("{}a", self.branch), &sdp))
                .await;
            return answer;
        }
    }

    pub async fn call(&mut self, formats: &str) -> Text {
        let sdp = self.sdp(formats);
        self.invite(&sdp).await;
        self.final_answer().await
    }

    /// A request inside the dialog; its final answer.
    pub async fn in_dialog(&mut self, method: &str, body: &str) -> Text {
        self.cseq += 1;
        let branch = format!("{}d{}", self.branch, self.cseq);
        self.send(&self.request(method, self.cseq, &branch, body))
            .await;
        loop {
            let answer = self.receive().await;
            if answer.status() >= 200
                && answer
                    .header("CSeq")
                    .is_some_and(|cseq| cseq.contains(method))
            {
                if method == "INVITE" {
                    self.send(&self.request("ACK", self.cseq, &format!("{branch}a"), ""))
                        .await;
                }
                return answer;
            }
        }
    }

    pub async fn bye(&mut self) {
        let answer = self.in_dialog("BYE", "").await;
        assert_eq!(answer.status(), 200);
    }

    /// Waits for a request of the other side and answers 200.
    pub async fn expect_request(&self, method: &str) -> Text {
        loop {
            let request = self.receive().await;
            if request.start().starts_with(&format!("{method} ")) {
                let answer = format!(
                    "SIP/2.0 200 OK\r\n{}{}{}{}{}Content-Length: 0\r\n\r\n",
                    request.headers("Via"),
                    request.headers("From"),
                    request.headers("To"),
                    request.headers("Call-ID"),
                    request.headers("CSeq"),
                );
                self.send(&answer).await;
                return request;
            }
        }
    }

    /// Sends 20 ms of its voice; without one, silence.
    pub async fn talk(&mut self) {
        let Some(to) = self.rtp_to else { return };
        let mut packet = vec![0x80, 0];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend_from_slice(&0x1234_5678_u32.to_be_bytes());
        let mut audio = [0xFF; 160];
        if let Some(voice) = &mut self.voice {
            voice.fill_coded(media::Law::Pcmu, &mut audio);
        }
        packet.extend_from_slice(&audio);
        self.sequence = self.sequence.wrapping_add(1);
        self.rtp.send_to(&packet, to).await.expect("sent");
    }

    /// Listens and talks for some time; what was heard, decoded.
    pub async fn listen(&mut self, ms: u64) -> Vec<i16> {
        let mut heard = Vec::new();
        let end = Instant::now() + std::time::Duration::from_millis(ms);
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        let mut buffer = vec![0; 2_048];
        while Instant::now() < end {
            tokio::select! {
                _ = tick.tick() => self.talk().await,
                received = self.rtp.recv_from(&mut buffer) => {
                    let (count, _) = received.expect("received");
                    let law = match buffer[1] & 0x7F { 0 => media::Law::Pcmu, 8 => media::Law::Pcma, _ => continue };
                    heard.extend(buffer[12..count].iter().map(|byte| g711::decode(law, *byte)));
                }
            }
        }
        heard
    }

    /// Listens until the voice is heard for 200 ms together.
    pub async fn hear(&mut self, frequency: f32) {
        super::within("the voice", async {
            let mut heard = Vec::new();
            loop {
                heard.extend(self.listen(100).await);
                let tail = &heard[heard.len().saturating_sub(1_600)..];
                if tail.len() == 1_600 && tone::purity(tail, frequency) > 0.9 {
                    return;
                }
            }
        })
        .await;
    }
}

pub fn media_address(sdp: &str) -> Option<SocketAddr> {
    let host = sdp
        .lines()
        .find_map(|line| line.strip_prefix("c=IN IP4 "))?;
    let port = sdp
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "))?
        .split(' ')
        .next()?;
    format!("{host}:{port}").parse().ok()
}
