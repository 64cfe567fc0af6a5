// What every page may say; the rest comes with the pages that say it (index.ts).
import calls from './fr/calls.json';
import common from './fr/common.json';
import telephony from './fr/telephony.json';

export default { calls, common, telephony };
