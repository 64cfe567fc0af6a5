//! What a restaurant may promise. Pure: facts, requests and the time are arguments, answers are data.

pub mod availability;
pub mod facts;
pub mod geo;
pub mod hours;
pub mod kitchen;
pub mod lang;
pub mod menu;
pub mod money;
pub mod order;
pub mod phone;
pub mod prompt;
pub mod seating;
pub mod when;
