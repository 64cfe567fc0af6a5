-- Tables of the back office, for PostgreSQL. Money is whole cents, times are microseconds since 1970 (UTC), flags 0 or 1.

CREATE TABLE restaurants (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    cuisine_type TEXT COLLATE "C",
    address TEXT COLLATE "C",
    city TEXT COLLATE "C",
    postal_code TEXT COLLATE "C",
    country TEXT COLLATE "C",
    phone TEXT COLLATE "C",
    email TEXT COLLATE "C",
    website TEXT COLLATE "C",
    lat DOUBLE PRECISION,
    lng DOUBLE PRECISION,
    locale TEXT COLLATE "C" NOT NULL DEFAULT 'fr-FR',
    timezone TEXT COLLATE "C" NOT NULL DEFAULT 'Europe/Paris',
    currency TEXT COLLATE "C" NOT NULL DEFAULT 'EUR',
    exchange_rate_to_local DOUBLE PRECISION NOT NULL DEFAULT 1,
    is_active BIGINT NOT NULL DEFAULT 1,
    ai_voice TEXT COLLATE "C" NOT NULL DEFAULT 'sage',
    ai_instructions TEXT COLLATE "C",
    welcome_message TEXT COLLATE "C",
    delivery_enabled BIGINT NOT NULL DEFAULT 0,
    delivery_radius_km DOUBLE PRECISION NOT NULL DEFAULT 5,
    delivery_fee BIGINT NOT NULL DEFAULT 0,
    delivery_free_above BIGINT,
    min_order_amount BIGINT NOT NULL DEFAULT 0,
    avg_prep_time_min BIGINT NOT NULL DEFAULT 30,
    kitchen_capacity BIGINT NOT NULL DEFAULT 10,
    reservation_enabled BIGINT NOT NULL DEFAULT 0,
    total_seats BIGINT NOT NULL DEFAULT 0,
    avg_meal_duration_min BIGINT NOT NULL DEFAULT 90,
    min_reservation_advance_min BIGINT NOT NULL DEFAULT 30,
    max_reservation_advance_days BIGINT NOT NULL DEFAULT 30,
    opening_hours TEXT COLLATE "C",
    order_status_enabled BIGINT NOT NULL DEFAULT 1,
    sip_enabled BIGINT NOT NULL DEFAULT 0,
    sip_bridge BIGINT NOT NULL DEFAULT 0,
    transfer_enabled BIGINT NOT NULL DEFAULT 0,
    transfer_phone_number TEXT COLLATE "C",
    transfer_automatic BIGINT NOT NULL DEFAULT 0,
    transfer_cases TEXT COLLATE "C",
    max_parallel_calls BIGINT NOT NULL DEFAULT 10,
    ai_cost_margin_pct DOUBLE PRECISION,
    cancellation_delay_hours BIGINT NOT NULL DEFAULT 0,
    reminder_hours_before BIGINT NOT NULL DEFAULT 0,
    payment_methods TEXT COLLATE "C",
    chat_enabled BIGINT NOT NULL DEFAULT 0,
    chat_mode TEXT COLLATE "C",
    chat_title TEXT COLLATE "C",
    chat_open_on_load BIGINT NOT NULL DEFAULT 0,
    recording_enabled BIGINT NOT NULL DEFAULT 0,
    consent_announcement TEXT COLLATE "C",
    notifications TEXT COLLATE "C",
    webhooks TEXT COLLATE "C",
    retention TEXT COLLATE "C",
    agent_id TEXT COLLATE "C",
    agent_public_token TEXT COLLATE "C",
    final_customer_id TEXT COLLATE "C",
    voice_account_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, id)
);

CREATE TABLE restaurant_phone_lines (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    phone_number TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL DEFAULT 'sip',
    sip_domain TEXT COLLATE "C",
    sip_username TEXT COLLATE "C",
    sip_transport TEXT COLLATE "C",
    stun_server TEXT COLLATE "C",
    twilio_trunk_sid TEXT COLLATE "C",
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone_number)
);

CREATE TABLE restaurant_menu_categories (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    display_order BIGINT NOT NULL DEFAULT 0,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_menu_items (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    category_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    price BIGINT NOT NULL DEFAULT 0,
    options TEXT COLLATE "C",
    ingredients TEXT COLLATE "C",
    allergens TEXT COLLATE "C",
    tags TEXT COLLATE "C",
    image_url TEXT COLLATE "C",
    available_from TEXT COLLATE "C",
    available_to TEXT COLLATE "C",
    available_days TEXT COLLATE "C",
    is_available BIGINT NOT NULL DEFAULT 1,
    display_order BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, category_id) REFERENCES restaurant_menu_categories (restaurant_id, id)
);

CREATE TABLE restaurant_set_menus (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    price BIGINT NOT NULL DEFAULT 0,
    options TEXT COLLATE "C",
    allergens TEXT COLLATE "C",
    tags TEXT COLLATE "C",
    image_url TEXT COLLATE "C",
    available_from TEXT COLLATE "C",
    available_to TEXT COLLATE "C",
    available_days TEXT COLLATE "C",
    is_available BIGINT NOT NULL DEFAULT 1,
    display_order BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_dining_services (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    day_of_week TEXT COLLATE "C",
    start_time TEXT COLLATE "C" NOT NULL,
    end_time TEXT COLLATE "C" NOT NULL,
    last_seating_time TEXT COLLATE "C",
    max_covers BIGINT NOT NULL DEFAULT 0,
    min_party_size BIGINT NOT NULL DEFAULT 1,
    max_party_size BIGINT,
    default_duration_min BIGINT,
    slot_interval_min BIGINT,
    auto_confirm BIGINT NOT NULL DEFAULT 1,
    requires_prepayment BIGINT NOT NULL DEFAULT 0,
    prepayment_amount BIGINT,
    dining_room_ids TEXT COLLATE "C",
    is_private BIGINT NOT NULL DEFAULT 0,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_dining_rooms (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    floor BIGINT,
    display_order BIGINT NOT NULL DEFAULT 0,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_tables (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    dining_room_id TEXT COLLATE "C",
    table_number TEXT COLLATE "C" NOT NULL,
    seats BIGINT NOT NULL,
    seating_options TEXT COLLATE "C",
    display_order BIGINT NOT NULL DEFAULT 0,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, dining_room_id) REFERENCES restaurant_dining_rooms (restaurant_id, id)
);

CREATE TABLE restaurant_table_combinations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C",
    table_ids TEXT COLLATE "C",
    seats BIGINT NOT NULL,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_offers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    offer_type TEXT COLLATE "C",
    discount_percent BIGINT,
    discount_amount BIGINT,
    menu_price BIGINT,
    start_date TEXT COLLATE "C",
    end_date TEXT COLLATE "C",
    is_permanent BIGINT NOT NULL DEFAULT 0,
    min_party_size BIGINT,
    max_party_size BIGINT,
    is_bookable BIGINT NOT NULL DEFAULT 1,
    is_active BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_customers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    phone TEXT COLLATE "C" NOT NULL,
    first_name TEXT COLLATE "C",
    last_name TEXT COLLATE "C",
    email TEXT COLLATE "C",
    delivery_address TEXT COLLATE "C",
    delivery_city TEXT COLLATE "C",
    delivery_postal_code TEXT COLLATE "C",
    delivery_notes TEXT COLLATE "C",
    delivery_lat DOUBLE PRECISION,
    delivery_lng DOUBLE PRECISION,
    notes TEXT COLLATE "C",
    allergies TEXT COLLATE "C",
    language TEXT COLLATE "C",
    is_vip BIGINT NOT NULL DEFAULT 0,
    total_orders BIGINT NOT NULL DEFAULT 0,
    total_spent BIGINT NOT NULL DEFAULT 0,
    total_reservations BIGINT NOT NULL DEFAULT 0,
    last_order_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone)
);

CREATE TABLE restaurant_orders (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C",
    customer_id TEXT COLLATE "C",
    customer_name TEXT COLLATE "C",
    customer_phone TEXT COLLATE "C",
    order_number BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL DEFAULT 'confirmed',
    order_type TEXT COLLATE "C" NOT NULL DEFAULT 'pickup',
    order_size TEXT COLLATE "C",
    subtotal BIGINT NOT NULL DEFAULT 0,
    delivery_fee BIGINT NOT NULL DEFAULT 0,
    discount BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL DEFAULT 0,
    delivery_address TEXT COLLATE "C",
    delivery_distance_km DOUBLE PRECISION,
    delivery_lat DOUBLE PRECISION,
    delivery_lng DOUBLE PRECISION,
    estimated_ready_at BIGINT,
    cook_start_at BIGINT,
    handoff_at BIGINT,
    notes TEXT COLLATE "C",
    payment_method TEXT COLLATE "C" NOT NULL DEFAULT 'cash',
    confirmation_key TEXT COLLATE "C",
    cancelled_at BIGINT,
    cancel_reason TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, order_number), UNIQUE (restaurant_id, confirmation_key)
);

CREATE TABLE restaurant_order_lines (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL DEFAULT 0,
    menu_item_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL,
    unit_price BIGINT NOT NULL DEFAULT 0,
    total_price BIGINT NOT NULL DEFAULT 0,
    selected_options TEXT COLLATE "C",
    notes TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, order_id) REFERENCES restaurant_orders (restaurant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_reservations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C",
    customer_id TEXT COLLATE "C",
    customer_name TEXT COLLATE "C",
    customer_phone TEXT COLLATE "C" NOT NULL,
    party_size BIGINT NOT NULL,
    reservation_time BIGINT NOT NULL,
    end_time BIGINT NOT NULL,
    duration_min BIGINT,
    status TEXT COLLATE "C" NOT NULL DEFAULT 'confirmed',
    seating_preference TEXT COLLATE "C",
    notes TEXT COLLATE "C",
    service_id TEXT COLLATE "C",
    offer_id TEXT COLLATE "C",
    dining_room_id TEXT COLLATE "C",
    table_ids TEXT COLLATE "C",
    confirmation_key TEXT COLLATE "C",
    reminder_sent_at BIGINT,
    cancelled_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, confirmation_key)
);

CREATE TABLE restaurant_holds (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C",
    caller_phone TEXT COLLATE "C",
    party_size BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    table_ids TEXT COLLATE "C",
    service_id TEXT COLLATE "C",
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_messages (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C",
    caller_phone TEXT COLLATE "C",
    caller_name TEXT COLLATE "C",
    category TEXT COLLATE "C" NOT NULL DEFAULT 'other',
    content TEXT COLLATE "C" NOT NULL,
    is_urgent BIGINT NOT NULL DEFAULT 0,
    is_read BIGINT NOT NULL DEFAULT 0,
    is_automatic BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_faqs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    question TEXT COLLATE "C" NOT NULL,
    answer TEXT COLLATE "C",
    category TEXT COLLATE "C" NOT NULL DEFAULT 'other',
    status TEXT COLLATE "C" NOT NULL DEFAULT 'pending',
    ask_count BIGINT NOT NULL DEFAULT 1,
    caller_phone TEXT COLLATE "C",
    last_asked_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, question)
);

CREATE TABLE restaurant_blocked_phones (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    phone TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, phone)
);

CREATE TABLE restaurant_calls (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    caller_number TEXT COLLATE "C",
    customer_id TEXT COLLATE "C",
    phone_line_id TEXT COLLATE "C",
    voice_call_id TEXT COLLATE "C",
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    duration_sec BIGINT,
    outcome TEXT COLLATE "C" NOT NULL DEFAULT 'in_progress',
    input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    input_audio_tokens BIGINT NOT NULL DEFAULT 0,
    output_audio_tokens BIGINT NOT NULL DEFAULT 0,
    cost_ai DOUBLE PRECISION NOT NULL DEFAULT 0,
    cost_telecom DOUBLE PRECISION NOT NULL DEFAULT 0,
    cost_google DOUBLE PRECISION NOT NULL DEFAULT 0,
    cost_currency TEXT COLLATE "C",
    ai_model TEXT COLLATE "C",
    transcript TEXT COLLATE "C",
    tool_calls TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id, voice_call_id)
);

CREATE TABLE restaurant_events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject_id TEXT COLLATE "C",
    payload TEXT COLLATE "C",
    published_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE restaurant_provisioning (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    restaurant_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL DEFAULT 'pending',
    wanted TEXT COLLATE "C",
    seen TEXT COLLATE "C",
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT,
    lease_until BIGINT,
    last_error TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (tenant_id, restaurant_id) REFERENCES restaurants (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (restaurant_id)
);

-- One row a restaurant: the number of its next order.
CREATE TABLE restaurant_counters (
    restaurant_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES restaurants (id) ON DELETE CASCADE,
    next_order BIGINT NOT NULL
);

-- Prices of the voice models by account; the absent ones are the pack's.
CREATE TABLE restaurant_ai_prices (
    tenant_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    prices TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL
);

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
