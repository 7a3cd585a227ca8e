import { byId } from "./service.js";

byId("token")?.focus();
