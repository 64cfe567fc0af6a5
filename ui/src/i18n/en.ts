import admin from './en/admin.json';
import agents from './en/agents.json';
import calls from './en/calls.json';
import common from './en/common.json';
import restaurant from './en/restaurant.json';
import telephony from './en/telephony.json';

export default { admin, agents, calls, common, restaurant, telephony };
