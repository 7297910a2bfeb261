package android.app;

import android.content.ContextWrapper;
import android.os.Bundle;

public class Activity extends ContextWrapper {
    protected void onCreate(Bundle savedInstanceState) {}
}
