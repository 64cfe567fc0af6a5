#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::gemini_message::target(data));
