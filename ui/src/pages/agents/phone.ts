// What a call from the browser is to its page, whichever way its sound goes.

/** Where the sound of a call goes. */
export interface Phone {
  id: string;
  mute: (muted: boolean) => void;
  /** Closes the connection; `closed` is not told for it. */
  hangUp: () => void;
}

/** What a page is told of its call. */
export interface Ears {
  /** The call has this id from now on: what is told of it live is this call's. */
  begins: (id: string) => void;
  /** How loud the microphone is, 0 to 1. */
  level: (level: number) => void;
  speaking: (speaking: boolean) => void;
  /** Milliseconds to the server and back. */
  roundTrip: (milliseconds: number) => void;
  /** The other side closed, or the connection is lost. */
  closed: () => void;
}

/** The answer of `POST /api/calls/browser`. */
export interface Ticket {
  id: string;
  /** Of the WebSocket, with the API's own beginning. */
  path?: string;
  answer?: string;
}

/** Asks for a call, with the offer of a connection or by WebSocket. These files import nothing, so that no page loads them with its own. */
export type Prepare = (offer?: string) => Promise<Ticket>;
