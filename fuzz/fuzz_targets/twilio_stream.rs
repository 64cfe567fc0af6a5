#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::twilio_stream::target(data));
