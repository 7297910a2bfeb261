// What packaging decides.

/** The folder of edgepack.json, the tokenizer and the model. */
export const MODEL_FOLDER = "model/";

/** The folder on another server that the model is fetched from; empty where the model is in this app. */
export const DOWNLOAD_URL = "";

/** Texts of the evaluation data to try, each with its second text or null; none unless packaging was asked for them. */
export const EXAMPLES = [];

/** How vectors of searched texts are kept: `float32`, `int8` or `binary`. */
export const VECTOR_FORM = "float32";
