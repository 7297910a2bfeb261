// What packaging decides.

/** The folder of edgepack.json, the tokenizer and the model. */
export const MODEL_FOLDER = "model/";

/** The folder on another server that the model is fetched from; empty where the model is in this app. */
export const DOWNLOAD_URL = "";

/** How vectors of searched texts are kept: `float32`, `int8` or `binary`. */
export const VECTOR_FORM = "float32";
