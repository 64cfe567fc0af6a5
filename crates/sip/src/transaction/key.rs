//! How a message finds its transaction (RFC 3261 sections 17.1.3 and 17.2.3).

use crate::message::{Method, Request, Response, Via};

/// Branch and CSeq method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: String,
    pub(crate) method: Method,
}

impl ClientKey {
    pub(crate) fn of_response(response: &Response) -> Option<Self> {
        let branch = response.headers.via_branch()?.to_owned();
        Some(Self {
            branch,
            method: response.headers.cseq()?.method,
        })
    }
}

/// Key of a server transaction. ACK is looked up under INVITE.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    /// The branch carries the cookie: it is unique.
    Branch {
        branch: String,
        sent_by: String,
        method: Method,
    },
    /// RFC 2543 peers: everything that names the request together. The To tag stays out, as the ACK has one that the
    /// INVITE had not.
    Legacy {
        uri: String,
        from_tag: String,
        call_id: String,
        sequence: u32,
        via: String,
        method: Method,
    },
}

impl ServerKey {
    /// The key of a request, looked at as `method` (INVITE for ACK and for what a CANCEL cancels).
    pub(crate) fn of_request(request: &Request, method: &Method) -> Option<Self> {
        Self::of(request, method, &request.headers.via_top()?)
    }

    /// The same, where the top Via was read already.
    pub(crate) fn of(request: &Request, method: &Method, via: &Via) -> Option<Self> {
        let mut sent_by = via.host.to_ascii_lowercase();
        if let Some(port) = via.port {
            sent_by.push(':');
            sent_by.push_str(&port.to_string());
        }
        if let Some(branch) = via.branch().filter(|_| via.has_rfc3261_branch()) {
            return Some(Self::Branch {
                branch: branch.to_owned(),
                sent_by,
                method: method.clone(),
            });
        }
        Some(Self::Legacy {
            uri: request.uri.to_string(),
            from_tag: request.headers.from_tag().unwrap_or_default().to_owned(),
            call_id: request.headers.call_id()?.to_owned(),
            sequence: request.headers.cseq()?.sequence,
            via: format!("{sent_by};{}", via.branch().unwrap_or_default()),
            method: method.clone(),
        })
    }
}

/// What makes two requests outside a dialog the same one come by two ways (RFC 3261 section 8.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MergeKey {
    call_id: String,
    from_tag: String,
    sequence: u32,
    method: Method,
}

impl MergeKey {
    /// `None` inside a dialog.
    pub(crate) fn of_request(request: &Request) -> Option<Self> {
        if request.headers.to_tag().is_some() {
            return None;
        }
        Some(Self {
            call_id: request.headers.call_id()?.to_owned(),
            from_tag: request.headers.from_tag()?.to_owned(),
            sequence: request.headers.cseq()?.sequence,
            method: request.method.clone(),
        })
    }
}
