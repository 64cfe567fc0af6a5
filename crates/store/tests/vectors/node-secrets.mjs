// The judge of the encryption at rest: Node's own crypto, written from the description of the format alone.
//
//   node node-secrets.mjs vectors              the committed vectors (each run prints the same)
//   node node-secrets.mjs encrypt KEY SALT     standard input to standard output
//   node node-secrets.mjs decrypt KEY SALT
import { createCipheriv, createDecipheriv, createHash, pbkdf2Sync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

const derive = (key, salt) => pbkdf2Sync(Buffer.from(key, "hex"), salt, 100000, 32, "sha256");

function encrypt(key, salt, text, iv = randomBytes(12)) {
  const cipher = createCipheriv("aes-256-gcm", derive(key, salt), iv);
  const ciphertext = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return [iv, cipher.getAuthTag(), ciphertext].map((part) => part.toString("base64")).join(":");
}

function decrypt(key, salt, stored) {
  const [iv, tag, ciphertext] = stored.split(":").map((part) => Buffer.from(part, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", derive(key, salt), iv);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString("utf8");
}

function vectors() {
  const bytes = (name) => createHash("sha256").update(name).digest();
  const texts = [
    "secret", "a", "", "with:two:colons", "::", " spaces at both ends ", "line\nbreak", "éàü œ €", "🔑 and \u0000 zero",
    "c2VjcmV0:cGFzcw==:d29yZA==", "x".repeat(1000), "15 bytes in all", "16 bytes in all.", "17 bytes in all..",
  ];
  const salts = ["3f2b8c1e-6a54-4f0e-9d1c-0b7a5e2f9c11", "1", "", "ligne-é", "tenant:engine", "s".repeat(200)];
  return texts.map((text, index) => {
    const key = bytes(`key ${index % 3}`).toString("hex");
    const salt = salts[index % salts.length];
    const iv = bytes(`iv ${index}`).subarray(0, 12);
    return { key, salt, iv: iv.toString("base64"), text, sealed: encrypt(key, salt, text, iv) };
  });
}

const [, , command, key, salt] = process.argv;
if (command === "vectors") {
  process.stdout.write(JSON.stringify(vectors(), null, 2) + "\n");
} else if (command === "encrypt") {
  process.stdout.write(encrypt(key, salt, readFileSync(0, "utf8")));
} else if (command === "decrypt") {
  process.stdout.write(decrypt(key, salt, readFileSync(0, "utf8").trim()));
} else {
  process.stderr.write("vectors | encrypt KEY SALT | decrypt KEY SALT\n");
  process.exit(2);
}
