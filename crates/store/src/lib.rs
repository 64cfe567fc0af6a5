//! All SQL of the product: calls, their journals and transcripts.
//!
//! SQLite is embedded, PostgreSQL serves several nodes; the functions and their statements are the same for both. Every function
//! takes a [`TenantScope`]: there is no way to read or write a row without saying whose it is. The exceptions have it in their
//! name: `resolve_…` finds out who asks, `node_…` is for the node itself. A write is one transaction.
//! What was committed survives the death of the process, and [`Store::recover_unfinished`] turns the calls that it cut into
//! honest finished records.
//!
//! [`mod@explain`] is the pure part: it makes a readable explanation from a call's record and journal.

mod agent;
mod agent_order;
mod annex;
mod api_key;
mod audit;
mod billing;
mod blocked;
mod call_record;
mod call_service;
mod change;
mod chat;
pub mod credential;
mod db;
mod device;
mod directory;
mod entry;
mod error;
mod event_log;
pub mod explain;
mod faq;
mod final_customer;
mod foreign;
mod idempotency;
pub mod journal;
pub mod limits;
mod listing;
mod outbox;
mod owner;
pub mod packet;
mod page;
mod phone;
mod phone_line;
mod plan;
mod privacy;
mod process;
mod recovery;
mod retention;
mod scope;
mod sealed;
pub mod secret;
mod set_up;
mod sip_account;
mod sql;
mod subscription;
mod tenant;
mod tool_run;
mod transcript;
mod user;
mod workflow;

pub use agent::{
    Agent, AgentFilter, AgentIdentity, AgentVersion, AgentVersionSummary, Brain, Tool, VersionNote,
};
pub use annex::{Cell, Db, Row, Statement, Step, Tx};
pub use api_key::{ApiKey, ApiKeyFilter};
pub use audit::{Action, Actor, AuditFilter, AuditLine, AuditNote};
pub use billing::{Booking, PriceTable, Transaction};
pub use blocked::{BlockedNumber, BlockedNumberFilter};
pub use call_record::{CallEnd, CallRecord, CallState, Direction, NewCall, PlacedCalls, StoredEnd};
pub use call_service::{CallAssignment, CallClose, CallCost, CallService, Closed};
pub use change::ChangeError;
pub use chat::{ChatClose, ChatFilter, ChatMessage, ChatSession};
pub use db::{Dialect, Store};
pub use device::{Device, DeviceFilter, StoredBinding};
pub use directory::{Directory, DirectoryAgent, DirectoryWorkflow};
pub use entry::{Entry, new_id};
pub use error::{OpenError, ReadError, WriteError};
pub use explain::{Explanation, explain, turns};
pub use faq::{Faq, FaqFilter};
pub use final_customer::{FinalCustomer, FinalCustomerFilter};
pub use foreign::{AppSettings, app_settings};
pub use idempotency::{Repetition, StoredAnswer};
pub use journal::{Event, JournalEntry};
pub use listing::{CallFilter, Page};
pub use outbox::{Attempt, Delivery, DeliveryFilter, DeliveryState, NewDelivery};
pub use owner::Owned;
pub use page::{BadCursor, Cursor, List, PageRequest};
pub use phone::same_number;
pub use phone_line::{PhoneLine, PhoneLineFilter};
pub use plan::{Plan, PlanFilter};
pub use privacy::{Keeper, Kept, remove_recordings};
pub use retention::{Artefact, Erased};
pub use scope::{Reach, Realm, TenantScope};
pub use sealed::Sealed;
pub use sip_account::{SipAccount, SipAccountCalls, SipAccountFilter, trunk_parts, turn_salt};
pub use subscription::{Subscription, SubscriptionFilter};
pub use tenant::{Tenant, TenantFilter};
pub use tool_run::{Begun, NewToolRun, ToolRun, ToolRunEnd, ToolRunState};
pub use transcript::{TranscriptLine, speaker_label};
pub use user::{User, UserFilter};
pub use workflow::{Workflow, WorkflowDefinition, WorkflowFilter, WorkflowVersion};
