// What every page may say; the rest comes with the pages that say it (index.ts).
import calls from './en/calls.json';
import common from './en/common.json';
import telephony from './en/telephony.json';

export default { calls, common, telephony };
