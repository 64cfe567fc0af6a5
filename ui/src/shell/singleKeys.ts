export const SINGLE_KEYS = 'allo.singleKeys';

/** Single keys can be switched off (WCAG 2.1.4): for those who dictate, and for those who type with a hand on the keyboard. */
export function singleKeysOn(): boolean {
  try {
    return localStorage.getItem(SINGLE_KEYS) !== 'off';
  } catch {
    return true;
  }
}
