-- The shop: who may log in, what they may do, the tables and some data to begin with.
-- Passwords are set by session.py.

CREATE ROLE web LOGIN;      -- the storefront, one connection a visit
CREATE ROLE partner LOGIN;  -- gift cards, sold elsewhere
CREATE ROLE batch LOGIN;    -- scheduled jobs; owns the tables
CREATE ROLE monitor LOGIN;  -- health checks
CREATE ROLE staff LOGIN NOINHERIT;  -- the back office: logs in, then takes one of the roles below
CREATE ROLE analyst;
CREATE ROLE exporter;
CREATE ROLE support;
CREATE ROLE warehouse;
CREATE ROLE dba SUPERUSER;
CREATE ROLE refunds;        -- a right that agents are given
GRANT refunds TO support WITH ADMIN OPTION;  -- too generous, and so can be abused
GRANT analyst, exporter, support, warehouse, dba TO staff;
ALTER ROLE web SET idle_session_timeout = '2s';

DO $$
BEGIN
    FOR i IN 1..1000 LOOP
        EXECUTE format('CREATE ROLE agent%s', i);
    END LOOP;
    FOR i IN 5001..6000 LOOP
        EXECUTE format('CREATE ROLE agent%s IN ROLE refunds', i);
    END LOOP;
END $$;

CREATE SCHEMA shop AUTHORIZATION batch;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET ROLE batch;
SET search_path TO shop;

CREATE TABLE customers (
    id serial PRIMARY KEY, email text UNIQUE, password_hash text, phone text, address text,
    locked_until timestamptz, last_login timestamptz, last_seen timestamptz);
INSERT INTO customers (email, password_hash)
    SELECT 'user' || i || '@example.com', md5('secret' || i) FROM generate_series(1, 3000) i;
CREATE TABLE login_attempts (
    customer_id int, succeeded boolean, at timestamptz DEFAULT now());
CREATE TABLE guests (id serial PRIMARY KEY, token text);

-- 1 to 1000 in stock, 1001 to 1100 sold out, 1101 to 1500 to be downloaded
CREATE TABLE products (
    id serial PRIMARY KEY, category_id int, name text, description text, price numeric,
    stock int, rating numeric);
INSERT INTO products (category_id, name, description, price, stock, rating)
    SELECT 1 + i % 40, 'Product ' || i, 'Description ' || i, 5 + i % 95,
           CASE WHEN i BETWEEN 1001 AND 1100 THEN 0 ELSE 1000000 END, i % 50 / 10.0
    FROM generate_series(1, 1500) i;
CREATE INDEX ON products (category_id);
CREATE TABLE downloads (product_id int PRIMARY KEY, url text);
INSERT INTO downloads SELECT i, '/files/' || i FROM generate_series(1101, 1500) i;
CREATE TABLE reviews (product_id int, stars int, body text, written_at timestamptz);
CREATE INDEX ON reviews (product_id);
CREATE TABLE cart_items (cart bigint, product_id int, quantity int);
CREATE INDEX ON cart_items (cart);
CREATE TABLE delivery_options (weight_class int, name text, price numeric);
CREATE TABLE pickup_points (zip int, name text);
CREATE TABLE delivery_dates (product_id int, expected date);

CREATE TABLE orders (
    id serial PRIMARY KEY, cart bigint, total numeric, state text DEFAULT 'placed',
    placed_at timestamptz DEFAULT now());
INSERT INTO orders (cart, total, state) SELECT i, 5 + i % 95, 'paid' FROM generate_series(1, 2000) i;
CREATE TABLE order_lines (order_id int REFERENCES orders, product_id int, quantity int);
INSERT INTO order_lines SELECT i, 1 + i % 1000, 1 FROM generate_series(1, 2000) i;
CREATE INDEX ON order_lines (order_id);
CREATE TABLE shipments (order_id int REFERENCES orders, carrier text, sent_at timestamptz);
CREATE INDEX ON shipments (order_id);
CREATE TABLE saved_cards (customer_id int, token text);
INSERT INTO saved_cards SELECT i, md5(i::text) FROM generate_series(1, 3000) i;
CREATE INDEX ON saved_cards (customer_id);
CREATE TABLE one_time_cards (guest_id int, token text);
CREATE TABLE payments (
    id serial PRIMARY KEY, order_id int REFERENCES orders, amount numeric, state text,
    paid_at timestamptz DEFAULT now());
INSERT INTO payments (order_id, amount, state)
    SELECT i, 5 + i % 95, 'captured' FROM generate_series(1, 2000) i;
CREATE INDEX ON payments (order_id);
CREATE TABLE refunds (order_id int, amount numeric);
CREATE TABLE mail_queue (order_id int, kind text);

CREATE TABLE gift_cards (id serial PRIMARY KEY, balance numeric);
INSERT INTO gift_cards (balance) SELECT 1000000 FROM generate_series(1, 20000);
CREATE TABLE gift_bookings (gift_card_id int, amount numeric);

CREATE TABLE tickets (id serial PRIMARY KEY, customer_id int, order_id int, state text);
INSERT INTO tickets (customer_id, order_id, state)
    SELECT 1 + i % 3000, 1 + i % 2000, 'open' FROM generate_series(1, 5000) i;
CREATE TABLE messages (ticket_id int, body text);
CREATE INDEX ON messages (ticket_id);
CREATE TABLE staff (id serial PRIMARY KEY, login text, team text, phone text);
INSERT INTO staff (login, team) SELECT 'agent' || i, 'service' FROM generate_series(1, 6000) i;
CREATE TABLE staff_rights (staff_id int, granted text, granted_at timestamptz);
CREATE INDEX ON staff_rights (staff_id);
CREATE TABLE audit_trail (subject text, subject_id int, at timestamptz DEFAULT now());

CREATE TABLE bins (id serial PRIMARY KEY, quantity int);
INSERT INTO bins (quantity) SELECT 100 FROM generate_series(1, 100100);
CREATE TABLE stock_moves (bin_id int, at timestamptz DEFAULT now());

-- Stands for a warehouse elsewhere that answers too late.
CREATE VIEW remote_history AS SELECT current_date AS day, 0 AS total FROM pg_sleep(8);

-- Clicks by month; whoever deletes some leaves a trace, unless the trigger is switched off.
CREATE FUNCTION audit_clicks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop.audit_trail (subject) VALUES ('clicks');
    RETURN NULL;
END $$;
DO $$
BEGIN
    FOR i IN 1..12 LOOP
        EXECUTE format('CREATE TABLE clicks_%s (id int, path text)', i);
        EXECUTE format('INSERT INTO clicks_%s SELECT i, ''/'' || i FROM generate_series(1, 1000) i', i);
        EXECUTE format('CREATE TRIGGER audit AFTER DELETE ON clicks_%s
                        FOR EACH STATEMENT EXECUTE FUNCTION shop.audit_clicks()', i);
    END LOOP;
END $$;

RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO analyst, exporter, support, warehouse, monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO web, partner, support, warehouse;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA shop TO web, partner, support, warehouse;
ANALYZE;
