//! Every table of the back office as data: its columns, their names on the wire and what they hold. Reading, checking, writing and
//! showing rows follow from it ([`super::record`]).

use super::column::{Kind, Table, column, needed};

/// Every table that belongs to one restaurant.
pub const OF_A_RESTAURANT: &[&Table] = &[
    &PHONE_LINES,
    &MENU_CATEGORIES,
    &MENU_ITEMS,
    &SET_MENUS,
    &DINING_SERVICES,
    &DINING_ROOMS,
    &TABLES,
    &TABLE_COMBINATIONS,
    &OFFERS,
    &CUSTOMERS,
    &ORDERS,
    &ORDER_LINES,
    &RESERVATIONS,
    &HOLDS,
    &MESSAGES,
    &FAQS,
    &BLOCKED_PHONES,
    &CALLS,
    &EVENTS,
    &PROVISIONING,
];

/// Rows of `restaurants`.
pub const RESTAURANTS: Table = Table {
    name: "restaurants",
    what: "restaurant",
    order: "created_at, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(4000)),
        column("cuisineType", "cuisine_type", Kind::Text(200)),
        column("address", "address", Kind::Text(500)),
        column("city", "city", Kind::Text(200)),
        column("postalCode", "postal_code", Kind::Text(20)),
        column("country", "country", Kind::Text(100)),
        column("phone", "phone", Kind::Text(40)),
        column("email", "email", Kind::Text(320)),
        column("website", "website", Kind::Text(500)),
        column("lat", "lat", Kind::Real(-90.0, 90.0)),
        column("lng", "lng", Kind::Real(-180.0, 180.0)),
        column("locale", "locale", Kind::Text(20)),
        column("timezone", "timezone", Kind::Text(64)),
        column("currency", "currency", Kind::Text(3)),
        column(
            "exchangeRateToLocal",
            "exchange_rate_to_local",
            Kind::Real(0.0, 1000000.0),
        ),
        column("isActive", "is_active", Kind::Flag),
        column("aiVoice", "ai_voice", Kind::Text(64)),
        column("aiInstructions", "ai_instructions", Kind::Text(20000)),
        column("welcomeMessage", "welcome_message", Kind::Text(2000)),
        column("deliveryEnabled", "delivery_enabled", Kind::Flag),
        column(
            "deliveryRadiusKm",
            "delivery_radius_km",
            Kind::Real(0.0, 1000.0),
        ),
        column("deliveryFee", "delivery_fee", Kind::Money),
        column("deliveryFreeAbove", "delivery_free_above", Kind::Money),
        column("minOrderAmount", "min_order_amount", Kind::Money),
        column("avgPrepTimeMin", "avg_prep_time_min", Kind::Int(0, 1440)),
        column("kitchenCapacity", "kitchen_capacity", Kind::Int(1, 10000)),
        column("reservationEnabled", "reservation_enabled", Kind::Flag),
        column("totalSeats", "total_seats", Kind::Int(0, 100000)),
        column(
            "avgMealDurationMin",
            "avg_meal_duration_min",
            Kind::Int(1, 1440),
        ),
        column(
            "minReservationAdvanceMin",
            "min_reservation_advance_min",
            Kind::Int(0, 525600),
        ),
        column(
            "maxReservationAdvanceDays",
            "max_reservation_advance_days",
            Kind::Int(0, 3650),
        ),
        column("openingHours", "opening_hours", Kind::Json(20000)),
        column("orderStatusEnabled", "order_status_enabled", Kind::Flag),
        column("sipEnabled", "sip_enabled", Kind::Flag),
        column("sipBridge", "sip_bridge", Kind::Flag),
        column("transferEnabled", "transfer_enabled", Kind::Flag),
        column(
            "transferPhoneNumber",
            "transfer_phone_number",
            Kind::Text(40),
        ),
        column("transferAutomatic", "transfer_automatic", Kind::Flag),
        column("transferCases", "transfer_cases", Kind::Text(8000)),
        column(
            "maxParallelCalls",
            "max_parallel_calls",
            Kind::Int(1, 10000),
        ),
        column(
            "aiCostMarginPct",
            "ai_cost_margin_pct",
            Kind::Real(0.0, 10000.0),
        ),
        column(
            "cancellationDelayHours",
            "cancellation_delay_hours",
            Kind::Int(0, 8760),
        ),
        column(
            "reminderHoursBefore",
            "reminder_hours_before",
            Kind::Int(0, 8760),
        ),
        column("paymentMethods", "payment_methods", Kind::Strings),
        column("chatEnabled", "chat_enabled", Kind::Flag),
        column("chatMode", "chat_mode", Kind::Text(32)),
        column("chatTitle", "chat_title", Kind::Text(200)),
        column("chatOpenOnLoad", "chat_open_on_load", Kind::Flag),
        column("recordingEnabled", "recording_enabled", Kind::Flag),
        column(
            "consentAnnouncement",
            "consent_announcement",
            Kind::Text(400),
        ),
        column("notifications", "notifications", Kind::Json(20000)),
        column("webhooks", "webhooks", Kind::Json(20000)),
        column("retention", "retention", Kind::Json(4000)),
        column("agentId", "agent_id", Kind::Text(64)),
        column("agentPublicToken", "agent_public_token", Kind::Text(256)),
        column("finalCustomerId", "final_customer_id", Kind::Text(64)),
        column("voiceAccountId", "voice_account_id", Kind::Text(64)),
    ],
};

/// Rows of `restaurant_phone_lines`.
pub const PHONE_LINES: Table = Table {
    name: "restaurant_phone_lines",
    what: "phone line",
    order: "created_at, id",
    columns: &[
        needed("phoneNumber", "phone_number", Kind::Text(40)),
        column("provider", "provider", Kind::Word(&["sip", "twilio"])),
        column("sipDomain", "sip_domain", Kind::Text(255)),
        column("sipUsername", "sip_username", Kind::Text(255)),
        column(
            "sipTransport",
            "sip_transport",
            Kind::Word(&["udp", "tcp", "tls"]),
        ),
        column("stunServer", "stun_server", Kind::Text(255)),
        column("twilioTrunkSid", "twilio_trunk_sid", Kind::Text(64)),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_menu_categories`.
pub const MENU_CATEGORIES: Table = Table {
    name: "restaurant_menu_categories",
    what: "category",
    order: "display_order, name, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(2000)),
        column("displayOrder", "display_order", Kind::Int(0, 1000000)),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_menu_items`.
pub const MENU_ITEMS: Table = Table {
    name: "restaurant_menu_items",
    what: "menu item",
    order: "display_order, name, id",
    columns: &[
        column("categoryId", "category_id", Kind::Text(64)),
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(4000)),
        needed("price", "price", Kind::Money),
        column("options", "options", Kind::Json(60000)),
        column("ingredients", "ingredients", Kind::Strings),
        column("allergens", "allergens", Kind::Strings),
        column("tags", "tags", Kind::Strings),
        column("imageUrl", "image_url", Kind::Text(1000)),
        column("availableFrom", "available_from", Kind::Clock),
        column("availableTo", "available_to", Kind::Clock),
        column("availableDays", "available_days", Kind::Json(200)),
        column("isAvailable", "is_available", Kind::Flag),
        column("displayOrder", "display_order", Kind::Int(0, 1000000)),
    ],
};

/// Rows of `restaurant_set_menus`.
pub const SET_MENUS: Table = Table {
    name: "restaurant_set_menus",
    what: "set menu",
    order: "display_order, name, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(4000)),
        needed("price", "price", Kind::Money),
        column("options", "options", Kind::Json(60000)),
        column("allergens", "allergens", Kind::Strings),
        column("tags", "tags", Kind::Strings),
        column("imageUrl", "image_url", Kind::Text(1000)),
        column("availableFrom", "available_from", Kind::Clock),
        column("availableTo", "available_to", Kind::Clock),
        column("availableDays", "available_days", Kind::Json(200)),
        column("isAvailable", "is_available", Kind::Flag),
        column("displayOrder", "display_order", Kind::Int(0, 1000000)),
    ],
};

/// Rows of `restaurant_dining_services`.
pub const DINING_SERVICES: Table = Table {
    name: "restaurant_dining_services",
    what: "dining service",
    order: "start_time, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("dayOfWeek", "day_of_week", Kind::Json(200)),
        needed("startTime", "start_time", Kind::Clock),
        needed("endTime", "end_time", Kind::Clock),
        column("lastSeatingTime", "last_seating_time", Kind::Clock),
        column("maxCovers", "max_covers", Kind::Int(0, 100000)),
        column("minPartySize", "min_party_size", Kind::Int(1, 1000)),
        column("maxPartySize", "max_party_size", Kind::Int(1, 1000)),
        column(
            "defaultDurationMin",
            "default_duration_min",
            Kind::Int(1, 1440),
        ),
        column("slotIntervalMin", "slot_interval_min", Kind::Int(1, 1440)),
        column("autoConfirm", "auto_confirm", Kind::Flag),
        column("requiresPrepayment", "requires_prepayment", Kind::Flag),
        column("prepaymentAmount", "prepayment_amount", Kind::Money),
        column("diningRoomIds", "dining_room_ids", Kind::Json(4000)),
        column("isPrivate", "is_private", Kind::Flag),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_dining_rooms`.
pub const DINING_ROOMS: Table = Table {
    name: "restaurant_dining_rooms",
    what: "dining room",
    order: "display_order, name, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(2000)),
        column("floor", "floor", Kind::Int(-20, 200)),
        column("displayOrder", "display_order", Kind::Int(0, 1000000)),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_tables`.
pub const TABLES: Table = Table {
    name: "restaurant_tables",
    what: "table",
    order: "display_order, table_number, id",
    columns: &[
        column("diningRoomId", "dining_room_id", Kind::Text(64)),
        needed("tableNumber", "table_number", Kind::Text(40)),
        needed("seats", "seats", Kind::Int(1, 1000)),
        column("seatingOptions", "seating_options", Kind::Strings),
        column("displayOrder", "display_order", Kind::Int(0, 1000000)),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_table_combinations`.
pub const TABLE_COMBINATIONS: Table = Table {
    name: "restaurant_table_combinations",
    what: "combination",
    order: "id",
    columns: &[
        column("name", "name", Kind::Text(200)),
        column("tableIds", "table_ids", Kind::Strings),
        needed("seats", "seats", Kind::Int(1, 1000)),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_offers`.
pub const OFFERS: Table = Table {
    name: "restaurant_offers",
    what: "offer",
    order: "created_at, id",
    columns: &[
        needed("name", "name", Kind::Text(200)),
        column("description", "description", Kind::Text(4000)),
        column("offerType", "offer_type", Kind::Text(64)),
        column("discountPercent", "discount_percent", Kind::Int(0, 100)),
        column("discountAmount", "discount_amount", Kind::Money),
        column("menuPrice", "menu_price", Kind::Money),
        column("startDate", "start_date", Kind::Date),
        column("endDate", "end_date", Kind::Date),
        column("isPermanent", "is_permanent", Kind::Flag),
        column("minPartySize", "min_party_size", Kind::Int(1, 1000)),
        column("maxPartySize", "max_party_size", Kind::Int(1, 1000)),
        column("isBookable", "is_bookable", Kind::Flag),
        column("isActive", "is_active", Kind::Flag),
    ],
};

/// Rows of `restaurant_customers`.
pub const CUSTOMERS: Table = Table {
    name: "restaurant_customers",
    what: "customer",
    order: "updated_at DESC, id DESC",
    columns: &[
        needed("phone", "phone", Kind::Text(40)),
        column("firstName", "first_name", Kind::Text(200)),
        column("lastName", "last_name", Kind::Text(200)),
        column("email", "email", Kind::Text(320)),
        column("deliveryAddress", "delivery_address", Kind::Text(500)),
        column("deliveryCity", "delivery_city", Kind::Text(200)),
        column("deliveryPostalCode", "delivery_postal_code", Kind::Text(20)),
        column("deliveryNotes", "delivery_notes", Kind::Text(2000)),
        column("deliveryLat", "delivery_lat", Kind::Real(-90.0, 90.0)),
        column("deliveryLng", "delivery_lng", Kind::Real(-180.0, 180.0)),
        column("notes", "notes", Kind::Text(4000)),
        column("allergies", "allergies", Kind::Strings),
        column("language", "language", Kind::Text(20)),
        column("isVip", "is_vip", Kind::Flag),
        column("totalOrders", "total_orders", Kind::Int(0, 1000000000)),
        column("totalSpent", "total_spent", Kind::Money),
        column(
            "totalReservations",
            "total_reservations",
            Kind::Int(0, 1000000000),
        ),
        column("lastOrderAt", "last_order_at", Kind::Time),
    ],
};

/// Rows of `restaurant_orders`.
pub const ORDERS: Table = Table {
    name: "restaurant_orders",
    what: "order",
    order: "created_at DESC, id DESC",
    columns: &[
        column("callId", "call_id", Kind::Text(64)),
        column("customerId", "customer_id", Kind::Text(64)),
        column("customerName", "customer_name", Kind::Text(200)),
        column("customerPhone", "customer_phone", Kind::Text(40)),
        needed("orderNumber", "order_number", Kind::Int(1, 1000000000)),
        column(
            "status",
            "status",
            Kind::Word(&[
                "pending",
                "confirmed",
                "preparing",
                "ready",
                "delivering",
                "completed",
                "cancelled",
            ]),
        ),
        column(
            "orderType",
            "order_type",
            Kind::Word(&["pickup", "delivery", "dine_in"]),
        ),
        column("orderSize", "order_size", Kind::Word(&["S", "M", "L"])),
        column("subtotal", "subtotal", Kind::Money),
        column("deliveryFee", "delivery_fee", Kind::Money),
        column("discount", "discount", Kind::Money),
        column("total", "total", Kind::Money),
        column("deliveryAddress", "delivery_address", Kind::Text(500)),
        column(
            "deliveryDistanceKm",
            "delivery_distance_km",
            Kind::Real(0.0, 100000.0),
        ),
        column("deliveryLat", "delivery_lat", Kind::Real(-90.0, 90.0)),
        column("deliveryLng", "delivery_lng", Kind::Real(-180.0, 180.0)),
        column("estimatedReadyAt", "estimated_ready_at", Kind::Time),
        column("cookStartAt", "cook_start_at", Kind::Time),
        column("handoffAt", "handoff_at", Kind::Time),
        column("notes", "notes", Kind::Text(8000)),
        column(
            "paymentMethod",
            "payment_method",
            Kind::Word(&["cash", "card", "online"]),
        ),
        column("confirmationKey", "confirmation_key", Kind::Text(200)),
        column("cancelledAt", "cancelled_at", Kind::Time),
        column("cancelReason", "cancel_reason", Kind::Text(500)),
    ],
};

/// Rows of `restaurant_order_lines`.
pub const ORDER_LINES: Table = Table {
    name: "restaurant_order_lines",
    what: "order line",
    order: "position, id",
    columns: &[
        needed("orderId", "order_id", Kind::Text(64)),
        column("position", "position", Kind::Int(0, 100000)),
        column("menuItemId", "menu_item_id", Kind::Text(64)),
        needed("name", "name", Kind::Text(200)),
        needed("quantity", "quantity", Kind::Int(1, 10000)),
        needed("unitPrice", "unit_price", Kind::Money),
        needed("totalPrice", "total_price", Kind::Money),
        column("selectedOptions", "selected_options", Kind::Json(60000)),
        column("notes", "notes", Kind::Text(4000)),
    ],
};

/// Rows of `restaurant_reservations`.
pub const RESERVATIONS: Table = Table {
    name: "restaurant_reservations",
    what: "reservation",
    order: "reservation_time, id",
    columns: &[
        column("callId", "call_id", Kind::Text(64)),
        column("customerId", "customer_id", Kind::Text(64)),
        column("customerName", "customer_name", Kind::Text(200)),
        needed("customerPhone", "customer_phone", Kind::Text(40)),
        needed("partySize", "party_size", Kind::Int(1, 10000)),
        needed("reservationTime", "reservation_time", Kind::Time),
        needed("endTime", "end_time", Kind::Time),
        column("durationMin", "duration_min", Kind::Int(1, 1440)),
        column(
            "status",
            "status",
            Kind::Word(&[
                "pending",
                "confirmed",
                "seated",
                "completed",
                "cancelled",
                "no_show",
            ]),
        ),
        column(
            "seatingPreference",
            "seating_preference",
            Kind::Word(&["window", "outdoor", "large_table", "quiet", "bar"]),
        ),
        column("notes", "notes", Kind::Text(8000)),
        column("serviceId", "service_id", Kind::Text(64)),
        column("offerId", "offer_id", Kind::Text(64)),
        column("diningRoomId", "dining_room_id", Kind::Text(64)),
        column("tableIds", "table_ids", Kind::Strings),
        column("confirmationKey", "confirmation_key", Kind::Text(200)),
        column("reminderSentAt", "reminder_sent_at", Kind::Time),
        column("cancelledAt", "cancelled_at", Kind::Time),
    ],
};

/// Rows of `restaurant_holds`.
pub const HOLDS: Table = Table {
    name: "restaurant_holds",
    what: "hold",
    order: "starts_at, id",
    columns: &[
        column("callId", "call_id", Kind::Text(64)),
        column("callerPhone", "caller_phone", Kind::Text(40)),
        needed("partySize", "party_size", Kind::Int(1, 10000)),
        needed("startsAt", "starts_at", Kind::Time),
        needed("endsAt", "ends_at", Kind::Time),
        column("tableIds", "table_ids", Kind::Strings),
        column("serviceId", "service_id", Kind::Text(64)),
        needed("expiresAt", "expires_at", Kind::Time),
    ],
};

/// Rows of `restaurant_messages`.
pub const MESSAGES: Table = Table {
    name: "restaurant_messages",
    what: "message",
    order: "created_at DESC, id DESC",
    columns: &[
        column("callId", "call_id", Kind::Text(64)),
        column("callerPhone", "caller_phone", Kind::Text(40)),
        column("callerName", "caller_name", Kind::Text(200)),
        column(
            "category",
            "category",
            Kind::Word(&[
                "callback_request",
                "complaint",
                "info_request",
                "special_request",
                "other",
            ]),
        ),
        needed("content", "content", Kind::Text(8000)),
        column("isUrgent", "is_urgent", Kind::Flag),
        column("isRead", "is_read", Kind::Flag),
        column("isAutomatic", "is_automatic", Kind::Flag),
    ],
};

/// Rows of `restaurant_faqs`.
pub const FAQS: Table = Table {
    name: "restaurant_faqs",
    what: "question",
    order: "ask_count DESC, created_at DESC, id DESC",
    columns: &[
        needed("question", "question", Kind::Text(1000)),
        column("answer", "answer", Kind::Text(8000)),
        column(
            "category",
            "category",
            Kind::Word(&[
                "horaires",
                "livraison",
                "allergens",
                "paiement",
                "parking",
                "reservation",
                "promotion",
                "ingredients",
                "localisation",
                "info_restau",
                "other",
            ]),
        ),
        column(
            "status",
            "status",
            Kind::Word(&["pending", "answered", "ignored"]),
        ),
        column("askCount", "ask_count", Kind::Int(0, 1000000000)),
        column("callerPhone", "caller_phone", Kind::Text(40)),
        column("lastAskedAt", "last_asked_at", Kind::Time),
    ],
};

/// Rows of `restaurant_blocked_phones`.
pub const BLOCKED_PHONES: Table = Table {
    name: "restaurant_blocked_phones",
    what: "blocked number",
    order: "created_at DESC, id DESC",
    columns: &[
        needed("phone", "phone", Kind::Text(40)),
        column("reason", "reason", Kind::Text(500)),
    ],
};

/// Rows of `restaurant_calls`.
pub const CALLS: Table = Table {
    name: "restaurant_calls",
    what: "call",
    order: "started_at DESC, id DESC",
    columns: &[
        column("callerNumber", "caller_number", Kind::Text(40)),
        column("customerId", "customer_id", Kind::Text(64)),
        column("phoneLineId", "phone_line_id", Kind::Text(64)),
        column("voiceCallId", "voice_call_id", Kind::Text(64)),
        needed("startedAt", "started_at", Kind::Time),
        column("endedAt", "ended_at", Kind::Time),
        column("durationSec", "duration_sec", Kind::Int(0, 1000000)),
        column(
            "outcome",
            "outcome",
            Kind::Word(&[
                "in_progress",
                "order_placed",
                "reservation_placed",
                "message_left",
                "info_only",
                "abandoned",
                "error",
                "transferred",
            ]),
        ),
        column("inputTokens", "input_tokens", Kind::Int(0, 1000000000000)),
        column("outputTokens", "output_tokens", Kind::Int(0, 1000000000000)),
        column(
            "inputAudioTokens",
            "input_audio_tokens",
            Kind::Int(0, 1000000000000),
        ),
        column(
            "outputAudioTokens",
            "output_audio_tokens",
            Kind::Int(0, 1000000000000),
        ),
        column("costAi", "cost_ai", Kind::Real(0.0, 1000000.0)),
        column("costTelecom", "cost_telecom", Kind::Real(0.0, 1000000.0)),
        column("costGoogle", "cost_google", Kind::Real(0.0, 1000000.0)),
        column("costCurrency", "cost_currency", Kind::Text(3)),
        column("aiModel", "ai_model", Kind::Text(100)),
        column("transcript", "transcript", Kind::Json(900000)),
        column("toolCalls", "tool_calls", Kind::Json(200000)),
    ],
};

/// Rows of `restaurant_events`.
pub const EVENTS: Table = Table {
    name: "restaurant_events",
    what: "event",
    order: "id",
    columns: &[
        needed("kind", "kind", Kind::Text(64)),
        column("subjectId", "subject_id", Kind::Text(64)),
        column("payload", "payload", Kind::Json(200000)),
        column("publishedAt", "published_at", Kind::Time),
    ],
};

/// Rows of `restaurant_notices`.
pub const NOTICES: Table = Table {
    name: "restaurant_notices",
    what: "notice",
    order: "created_at DESC, id DESC",
    columns: &[
        column("eventId", "event_id", Kind::Text(64)),
        column("kind", "kind", Kind::Text(64)),
        column("subjectId", "subject_id", Kind::Text(64)),
        column("channel", "channel", Kind::Text(20)),
        column("target", "target", Kind::Text(2000)),
        column("subject", "subject", Kind::Text(1000)),
        column("body", "body", Kind::Text(200000)),
        column("state", "state", Kind::Text(20)),
        column("attempts", "attempts", Kind::Int(0, 1000000)),
        column("nextAt", "next_at", Kind::Time),
        column("lastError", "last_error", Kind::Text(2000)),
        column("endedAt", "ended_at", Kind::Time),
    ],
};

/// Rows of `restaurant_provisioning`.
pub const PROVISIONING: Table = Table {
    name: "restaurant_provisioning",
    what: "provisioning",
    order: "id",
    columns: &[
        column(
            "state",
            "state",
            Kind::Word(&["pending", "running", "done", "failed"]),
        ),
        column("wanted", "wanted", Kind::Json(200000)),
        column("seen", "seen", Kind::Json(200000)),
        column("attempts", "attempts", Kind::Int(0, 1000000)),
        column("nextAt", "next_at", Kind::Time),
        column("leaseUntil", "lease_until", Kind::Time),
        column("lastError", "last_error", Kind::Text(2000)),
    ],
};
