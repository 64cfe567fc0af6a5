// What lies over the pages (notices, questions, the search of everything) comes after the first page stands, or when it is first wanted.
type Overlays = typeof import('./Overlays');

let asked: (() => void) | null = null;
let stands: (module: Overlays) => void = () => undefined;
let standing = awaited();

function awaited() {
  return new Promise<Overlays>((resolve) => {
    stands = resolve;
  });
}

/** Whoever shows the overlays says how they are brought. */
export function bringBy(bring: () => void) {
  asked = bring;
}

/** The overlays are in the document and listen, until the answer is called: somebody logged out. */
export function theyStand(module: Overlays): () => void {
  stands(module);
  return () => {
    standing = awaited();
  };
}

/** The overlays, once they listen: what is shown before that would be lost. */
export function overlays(): Promise<Overlays> {
  asked?.();
  return standing;
}
