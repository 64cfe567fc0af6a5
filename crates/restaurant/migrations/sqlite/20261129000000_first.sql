-- Tables of the back office, for SQLite. Money is whole cents, times are microseconds since 1970 (UTC), flags 0 or 1.

CREATE TABLE restaurants (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    cuisine_type TEXT,
    address TEXT,
    city TEXT,
    postal_code TEXT,
    country TEXT,
    phone TEXT,
    email TEXT,
    website TEXT,
    lat REAL,
    lng REAL,
    locale TEXT NOT NULL DEFAULT 'fr-FR',
    timezone TEXT NOT NULL DEFAULT 'Europe/Paris',
    currency TEXT NOT NULL DEFAULT 'EUR',
    exchange_rate_to_local REAL NOT NULL DEFAULT 1,
    is_active INTEGER NOT NULL DEFAULT 1,
    ai_voice TEXT NOT NULL DEFAULT 'sage',
    ai_instructions TEXT,
    welcome_message TEXT,
    delivery_enabled INTEGER NOT NULL DEFAULT 0,
    delivery_radius_km REAL NOT NULL DEFAULT 5,
    delivery_fee INTEGER NOT NULL DEFAULT 0,
    delivery_free_above INTEGER,
    min_order_amount INTEGER NOT NULL DEFAULT 0,
    avg_prep_time_min INTEGER NOT NULL DEFAULT 30,
    kitchen_capacity INTEGER NOT NULL DEFAULT 10,
    reservation_enabled INTEGER NOT NULL DEFAULT 0,
    total_seats INTEGER NOT NULL DEFAULT 0,
    avg_meal_duration_min INTEGER NOT NULL DEFAULT 90,
    min_reservation_advance_min INTEGER NOT NULL DEFAULT 30,
    max_reservation_advance_days INTEGER NOT NULL DEFAULT 30,
    opening_hours TEXT,
    order_status_enabled INTEGER NOT NULL DEFAULT 1,
    sip_enabled INTEGER NOT NULL DEFAULT 0,
    sip_bridge INTEGER NOT NULL DEFAULT 0,
    transfer_enabled INTEGER NOT NULL DEFAULT 0,
    transfer_phone_number TEXT,
    transfer_automatic INTEGER NOT NULL DEFAULT 0,
    transfer_cases TEXT,
    max_parallel_calls INTEGER NOT NULL DEFAULT 10,
    ai_cost_margin_pct REAL,
    cancellation_delay_hours INTEGER NOT NULL DEFAULT 0,
    reminder_hours_before INTEGER NOT NULL DEFAULT 0,
    payment_methods TEXT,
    chat_enabled INTEGER NOT NULL DEFAULT 0,
    chat_mode TEXT,
    chat_title TEXT,
    chat_open_on_load INTEGER NOT NULL DEFAULT 0,
    recording_enabled INTEGER NOT NULL DEFAULT 0,
    consent_announcement TEXT,
    notifications TEXT,
    webhooks TEXT,
    retention TEXT,
    agent_id TEXT,
    agent_public_token TEXT,
    final_customer_id TEXT,
    voice_account_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant_id, id)
) STRICT;

CREATE TABLE restaurant_phone_lines (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    phone_number TEXT NOT NULL,
    provider TEXT NOT NULL DEFAULT 'sip',
    sip_domain TEXT,
    sip_username TEXT,
    sip_transport TEXT,
    stun_server TEXT,
    twilio_trunk_sid TEXT,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone_number)
) STRICT;

CREATE TABLE restaurant_menu_categories (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    display_order INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_menu_items (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    category_id TEXT,
    name TEXT NOT NULL,
    description TEXT,
    price INTEGER NOT NULL DEFAULT 0,
    options TEXT,
    ingredients TEXT,
    allergens TEXT,
    tags TEXT,
    image_url TEXT,
    available_from TEXT,
    available_to TEXT,
    available_days TEXT,
    is_available INTEGER NOT NULL DEFAULT 1,
    display_order INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, category_id) REFERENCES restaurant_menu_categories (restaurant_id, id)
) STRICT;

CREATE TABLE restaurant_set_menus (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    price INTEGER NOT NULL DEFAULT 0,
    options TEXT,
    allergens TEXT,
    tags TEXT,
    image_url TEXT,
    available_from TEXT,
    available_to TEXT,
    available_days TEXT,
    is_available INTEGER NOT NULL DEFAULT 1,
    display_order INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_dining_services (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    day_of_week TEXT,
    start_time TEXT NOT NULL,
    end_time TEXT NOT NULL,
    last_seating_time TEXT,
    max_covers INTEGER NOT NULL DEFAULT 0,
    min_party_size INTEGER NOT NULL DEFAULT 1,
    max_party_size INTEGER,
    default_duration_min INTEGER,
    slot_interval_min INTEGER,
    auto_confirm INTEGER NOT NULL DEFAULT 1,
    requires_prepayment INTEGER NOT NULL DEFAULT 0,
    prepayment_amount INTEGER,
    dining_room_ids TEXT,
    is_private INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_dining_rooms (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    floor INTEGER,
    display_order INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_tables (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    dining_room_id TEXT,
    table_number TEXT NOT NULL,
    seats INTEGER NOT NULL,
    seating_options TEXT,
    display_order INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, dining_room_id) REFERENCES restaurant_dining_rooms (restaurant_id, id)
) STRICT;

CREATE TABLE restaurant_table_combinations (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT,
    table_ids TEXT,
    seats INTEGER NOT NULL,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_offers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    offer_type TEXT,
    discount_percent INTEGER,
    discount_amount INTEGER,
    menu_price INTEGER,
    start_date TEXT,
    end_date TEXT,
    is_permanent INTEGER NOT NULL DEFAULT 0,
    min_party_size INTEGER,
    max_party_size INTEGER,
    is_bookable INTEGER NOT NULL DEFAULT 1,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_customers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    phone TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    delivery_address TEXT,
    delivery_city TEXT,
    delivery_postal_code TEXT,
    delivery_notes TEXT,
    delivery_lat REAL,
    delivery_lng REAL,
    notes TEXT,
    allergies TEXT,
    language TEXT,
    is_vip INTEGER NOT NULL DEFAULT 0,
    total_orders INTEGER NOT NULL DEFAULT 0,
    total_spent INTEGER NOT NULL DEFAULT 0,
    total_reservations INTEGER NOT NULL DEFAULT 0,
    last_order_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone)
) STRICT;

CREATE TABLE restaurant_orders (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    call_id TEXT,
    customer_id TEXT,
    customer_name TEXT,
    customer_phone TEXT,
    order_number INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'confirmed',
    order_type TEXT NOT NULL DEFAULT 'pickup',
    order_size TEXT,
    subtotal INTEGER NOT NULL DEFAULT 0,
    delivery_fee INTEGER NOT NULL DEFAULT 0,
    discount INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    delivery_address TEXT,
    delivery_distance_km REAL,
    delivery_lat REAL,
    delivery_lng REAL,
    estimated_ready_at INTEGER,
    cook_start_at INTEGER,
    handoff_at INTEGER,
    notes TEXT,
    payment_method TEXT NOT NULL DEFAULT 'cash',
    confirmation_key TEXT,
    cancelled_at INTEGER,
    cancel_reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, order_number), UNIQUE (restaurant_id, confirmation_key)
) STRICT;

CREATE TABLE restaurant_order_lines (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    menu_item_id TEXT,
    name TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL DEFAULT 0,
    total_price INTEGER NOT NULL DEFAULT 0,
    selected_options TEXT,
    notes TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, order_id) REFERENCES restaurant_orders (restaurant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_reservations (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    call_id TEXT,
    customer_id TEXT,
    customer_name TEXT,
    customer_phone TEXT NOT NULL,
    party_size INTEGER NOT NULL,
    reservation_time INTEGER NOT NULL,
    end_time INTEGER NOT NULL,
    duration_min INTEGER,
    status TEXT NOT NULL DEFAULT 'confirmed',
    seating_preference TEXT,
    notes TEXT,
    service_id TEXT,
    offer_id TEXT,
    dining_room_id TEXT,
    table_ids TEXT,
    confirmation_key TEXT,
    reminder_sent_at INTEGER,
    cancelled_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, confirmation_key)
) STRICT;

CREATE TABLE restaurant_holds (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    call_id TEXT,
    caller_phone TEXT,
    party_size INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    table_ids TEXT,
    service_id TEXT,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_messages (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    call_id TEXT,
    caller_phone TEXT,
    caller_name TEXT,
    category TEXT NOT NULL DEFAULT 'other',
    content TEXT NOT NULL,
    is_urgent INTEGER NOT NULL DEFAULT 0,
    is_read INTEGER NOT NULL DEFAULT 0,
    is_automatic INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_faqs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT,
    category TEXT NOT NULL DEFAULT 'other',
    status TEXT NOT NULL DEFAULT 'pending',
    ask_count INTEGER NOT NULL DEFAULT 1,
    caller_phone TEXT,
    last_asked_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, question)
) STRICT;

CREATE TABLE restaurant_blocked_phones (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    phone TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone)
) STRICT;

CREATE TABLE restaurant_calls (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    caller_number TEXT,
    customer_id TEXT,
    phone_line_id TEXT,
    voice_call_id TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    duration_sec INTEGER,
    outcome TEXT NOT NULL DEFAULT 'in_progress',
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    input_audio_tokens INTEGER NOT NULL DEFAULT 0,
    output_audio_tokens INTEGER NOT NULL DEFAULT 0,
    cost_ai REAL NOT NULL DEFAULT 0,
    cost_telecom REAL NOT NULL DEFAULT 0,
    cost_google REAL NOT NULL DEFAULT 0,
    cost_currency TEXT,
    ai_model TEXT,
    transcript TEXT,
    tool_calls TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, voice_call_id)
) STRICT;

CREATE TABLE restaurant_events (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject_id TEXT,
    payload TEXT,
    published_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE restaurant_provisioning (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    wanted TEXT,
    seen TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    lease_until INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id)
) STRICT;

-- One row a restaurant: the number of its next order.
CREATE TABLE restaurant_counters (
    restaurant_id TEXT NOT NULL PRIMARY KEY REFERENCES restaurants (id) ON DELETE CASCADE,
    next_order INTEGER NOT NULL
) STRICT;

-- Prices of the voice models by account; the absent ones are the pack's.
CREATE TABLE restaurant_ai_prices (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    prices TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Answers to requests that carry an idempotency key.
CREATE INDEX restaurants_tenant ON restaurants (tenant_id, created_at);
CREATE INDEX restaurants_agent ON restaurants (agent_id);
CREATE INDEX restaurant_menu_items_place ON restaurant_menu_items (restaurant_id, display_order);
CREATE INDEX restaurant_orders_new ON restaurant_orders (restaurant_id, created_at);
CREATE INDEX restaurant_orders_phone ON restaurant_orders (restaurant_id, customer_phone, created_at);
CREATE INDEX restaurant_orders_call ON restaurant_orders (call_id);
CREATE INDEX restaurant_order_lines_order ON restaurant_order_lines (restaurant_id, order_id, position);
CREATE INDEX restaurant_reservations_time ON restaurant_reservations (restaurant_id, reservation_time);
CREATE INDEX restaurant_reservations_phone ON restaurant_reservations (restaurant_id, customer_phone, reservation_time);
CREATE INDEX restaurant_reservations_call ON restaurant_reservations (call_id);
CREATE INDEX restaurant_holds_time ON restaurant_holds (restaurant_id, starts_at);
CREATE INDEX restaurant_holds_expiry ON restaurant_holds (expires_at);
CREATE INDEX restaurant_messages_new ON restaurant_messages (restaurant_id, created_at);
CREATE INDEX restaurant_calls_new ON restaurant_calls (restaurant_id, started_at);
CREATE INDEX restaurant_events_new ON restaurant_events (restaurant_id, id);
CREATE INDEX restaurant_provisioning_due ON restaurant_provisioning (state, next_at);
