import admin from './fr/admin.json';
import agents from './fr/agents.json';
import calls from './fr/calls.json';
import common from './fr/common.json';
import restaurant from './fr/restaurant.json';
import telephony from './fr/telephony.json';

export default { admin, agents, calls, common, restaurant, telephony };
