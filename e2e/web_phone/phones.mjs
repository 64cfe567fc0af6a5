// Two softphones for browsers that we did not write, as their packages have them.
import JsSIP from 'jssip';
import * as SIP from 'sip.js';

Object.assign(globalThis, { JsSIP, SIP });
